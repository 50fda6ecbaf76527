import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";

/** What is shown behind the API, as people call it. */
export interface Place {
  readonly name: string;
  /** `/grafana`. */
  readonly prefix: string;
}

export interface SignInPage {
  /** Comes back with the form, and must be what the browser's cookie says. */
  readonly csrf: string;
  /** Where to go afterwards: a path below a place. */
  readonly next: string | undefined;
  /** Why the last try was refused. */
  readonly refusal?: string | undefined;
  /** What was typed, so that only the password is typed again. */
  readonly username?: string | undefined;
}

/** For whoever is not known. It says nothing about what lies behind it. */
export function signInPage({ csrf, next, refusal, username = "" }: SignInPage): string {
  const content = html`${
      refusal === undefined ? html`` : html`<p role="alert" class="notice">${refusal}</p>`
    }
    <form method="post" action="/sign-in">
      <input type="hidden" name="csrf" value="${csrf}" />
      ${next === undefined ? html`` : html`<input type="hidden" name="next" value="${next}" />`}
      <label for="username">User name</label>
      <input
        type="text"
        id="username"
        name="username"
        value="${username}"
        maxlength="64"
        autocomplete="username"
        autocapitalize="none"
        spellcheck="false"
        required
      />
      ${passwordField("password", "Password", "current-password")}
      <button type="submit">Sign in</button>
    </form>
    <p>
      The session is kept in a cookie that browsers take over https only (and on this machine). It
      ends after 12 hours. Programs send <code>Authorization: Bearer …</code>.
    </p>`;
  return page("Sign in", content);
}

export interface SignedInPage {
  readonly csrf: string;
  readonly name: string;
  readonly role: string;
  /** Those that they may see. */
  readonly places: readonly Place[];
  /** Until they have changed their password they may see nothing. */
  readonly mustChange: boolean;
  /** Why the last change was refused. */
  readonly refusal?: string | undefined;
}

/** For whoever is known: where to go, another password, and the way out. */
export function signedInPage(options: SignedInPage): string {
  const { csrf, name, role, places, mustChange, refusal } = options;
  const content = html`<p>You are signed in as <strong>${name}</strong> (${role}).</p>
    ${mustChange ? html`<p class="notice">Your password must be changed first.</p>` : listOf(places)}
    <h2>Change the password</h2>
    ${refusal === undefined ? html`` : html`<p role="alert" class="notice">${refusal}</p>`}
    <form method="post" action="/sign-in/password">
      <input type="hidden" name="csrf" value="${csrf}" />
      <input type="text" name="" value="${name}" autocomplete="username" hidden />
      ${passwordField("current_password", "Current password", "current-password")}
      ${passwordField("new_password", "New password (12 characters or more)", "new-password")}
      <button type="submit">Change the password</button>
    </form>
    <p>Your other sessions end, and your API tokens are revoked.</p>
    <h2>Sign out</h2>
    <form method="post" action="/sign-out">
      <input type="hidden" name="csrf" value="${csrf}" />
      <button type="submit">Sign out</button>
    </form>`;
  return page("Signed in", content);
}

function passwordField(name: string, label: string, autocomplete: string): Html {
  return html`<label for="${name}">${label}</label>
    <input
      type="password"
      id="${name}"
      name="${name}"
      maxlength="256"
      autocomplete="${autocomplete}"
      required
    />`;
}

function listOf(places: readonly Place[]): Html {
  if (places.length === 0) return html`<p>There is nothing here that you may look at.</p>`;
  return html`<ul>
    ${places.map(({ name, prefix }) => html`<li><a href="${prefix}/">${name}</a></li>`)}
  </ul>`;
}
