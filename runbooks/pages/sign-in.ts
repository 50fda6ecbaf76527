import { html, type Html } from "../../lib/pages/html.ts";
import { sitePage } from "./parts.ts";

export interface SignInPage {
  /** Where to go afterwards: a path of ours. */
  readonly next: string;
  /** Whether there is a token to sign in with. */
  readonly canSignIn: boolean;
  /** The last try was wrong. */
  readonly wrong: boolean;
}

/** For whoever is not known. It says what is missing, and nothing about what lies behind it. */
export function signInPage({ next, canSignIn, wrong }: SignInPage): string {
  return sitePage("Sign in", canSignIn ? form(next, wrong) : explanation(), { wide: false });
}

function form(next: string, wrong: boolean): Html {
  return html`${wrong ? html`<p role="alert" class="notice">This is not the token.</p>` : html``}
    <p>These pages are for those who have the token of <code>RUNBOOKS_API_TOKEN</code>.</p>
    <form method="post" action="/sign-in">
      <input type="hidden" name="next" value="${next}" />
      <label for="token">Token</label>
      <input
        type="password"
        id="token"
        name="token"
        maxlength="1000"
        autocomplete="current-password"
        required
      />
      <button type="submit">Sign in</button>
    </form>
    <p>
      The session is kept in a cookie that browsers take over https only (and on this machine).
      Programs send <code>Authorization: Bearer …</code>. A personal approval link works without
      signing in.
    </p>`;
}

function explanation(): Html {
  return html`<p>
    No token is configured, so only a browser on the machine that runs Fettle may look, and only
    under a loopback address. Whoever runs it can set <code>RUNBOOKS_API_TOKEN</code>. A personal
    approval link works without signing in.
  </p>`;
}
