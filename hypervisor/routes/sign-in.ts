import { z } from "zod";
import { STYLESHEET } from "../../lib/pages/layout.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { SESSION_HOURS } from "../auth/sessions.ts";
import { endLogin, signInBrowser, type SignInDeps } from "../auth/sign-in.ts";
import type { Call } from "../frame/call.ts";
import { NEXT_CHARACTERS_MAX } from "../frame/raw.ts";
import type { Router } from "../frame/router.ts";
import { signedInPage, signInPage, type Place } from "../pages/sign-in.ts";
import { changePassword, checkNewPassword } from "../people/change-password.ts";
import { explain, type Permission } from "../permissions.ts";
import type { Authenticator, Principal } from "../types.ts";
import {
  csrfSchema,
  demandForm,
  formOf,
  HTML,
  PAGE_HEADERS,
  sessionCookie,
  viewerOf,
} from "./browser-forms.ts";

export interface SignInPageDeps extends SignInDeps {
  readonly authenticator: Authenticator;
  /** What people sign in for. */
  readonly places: readonly (Place & { readonly permission: Permission })[];
}

const PASSWORD_MAX = 256;
const formSchema = z.strictObject({
  csrf: csrfSchema,
  username: z.string().min(1).max(64),
  password: z.string().min(1).max(PASSWORD_MAX),
  next: z.string().max(NEXT_CHARACTERS_MAX).optional(),
});

/** `/sign-in` and `/sign-out`: a session for browsers, which opens what is shown behind the API and nothing else of it. */
export function addSignInRoutes(router: Router, deps: SignInPageDeps): void {
  addPages(router, deps);
  addSignIn(router, deps);
  addPassword(router, deps);
  addSignOut(router, deps);
}

function addPages(router: Router, deps: SignInPageDeps): void {
  router.route(
    {
      method: "get",
      path: "/assets/fettle.css",
      permission: "public",
      summary: "how our pages look",
      answers: { 200: { media: "text/css" } },
    },
    async () => {
      const headers = { "cache-control": "public, max-age=3600" };
      return Promise.resolve({ status: 200, body: STYLESHEET, headers });
    },
  );
  router.route(
    {
      method: "get",
      path: "/sign-in",
      permission: "public",
      summary: "a page for browsers, to sign in; for who has, to change the password and sign out",
      query: z.strictObject({ next: z.string().max(NEXT_CHARACTERS_MAX).optional() }),
      answers: { 200: HTML },
    },
    async (call) => {
      const { csrf, headers } = formOf(call);
      const known = await viewerOf(deps, call);
      const body =
        known === undefined
          ? signInPage({ csrf, next: placeOf(call.query.next, deps.places) })
          : shownTo(known, deps, csrf);
      return { status: 200, body, headers };
    },
  );
}

function addSignIn(router: Router, deps: SignInPageDeps): void {
  router.route(
    {
      method: "post",
      path: "/sign-in",
      permission: "public",
      summary: "signs a browser in, by the form of its page",
      body: formSchema,
      form: "only",
      answers: { 303: "nothing", 401: HTML, 429: HTML, 503: HTML },
      mutates: "nothing",
    },
    async (call) => {
      const { csrf, username, password } = call.body;
      demandForm(call, csrf);
      const next = placeOf(call.body.next, deps.places);
      try {
        const value = await signInBrowser(deps, { username, password }, clientOf(call));
        await endOld(deps, call);
        const cookie = sessionCookie(call, value, SESSION_HOURS * 3_600);
        return { status: 303, headers: { location: next ?? "/sign-in", ...cookie } };
      } catch (error) {
        const refusal = refusalIn(error, [401, 429, 503]);
        const body = signInPage({ csrf, next, username, refusal: refusal.words });
        return { status: refusal.status, body, headers: refusal.headers };
      }
    },
  );
}

function addPassword(router: Router, deps: SignInPageDeps): void {
  router.route(
    {
      method: "post",
      path: "/sign-in/password",
      permission: "public", // the browser's cookie says who it is
      summary: "changes the password of who is signed in, by the form of its page",
      body: z.strictObject({
        csrf: csrfSchema,
        current_password: z.string().min(1).max(PASSWORD_MAX),
        new_password: z.string().min(1).max(PASSWORD_MAX),
      }),
      form: "only",
      answers: { 303: "nothing", 400: HTML, 403: HTML, 429: HTML, 503: HTML },
      mutates: {
        action: "UserPasswordChanged",
        resource: "user",
        secretAnswer: true,
        secretFields: ["current_password", "new_password"],
      },
    },
    async (call) => {
      const { csrf } = call.body;
      demandForm(call, csrf);
      const known = await viewerOf(deps, call);
      if (known === undefined)
        throw new HttpProblem(401, "Not authenticated", "The session has ended: sign in again.");
      const { name, organization } = known;
      try {
        const asking = { principal: known, ip: call.ip };
        const checked = await checkNewPassword(deps, asking, { ...call.body, keep_tokens: false });
        const facts = { tokens: "revoked" };
        const subject = { id: name, actor: name, organization, summary: "Changed the password" };
        return await call.change({ ...subject, facts }, async (tx) => {
          if (checked instanceof HttpProblem) throw checked; // within the change, so that it is on record
          await changePassword(tx, known, checked, false);
          return { status: 303, headers: { location: "/sign-in" } };
        });
      } catch (error) {
        const { status, words, headers } = refusalIn(error, [400, 403, 429, 503]);
        return { status, body: shownTo(known, deps, csrf, words), headers };
      }
    },
  );
}

function addSignOut(router: Router, deps: SignInPageDeps): void {
  router.route(
    {
      method: "post",
      path: "/sign-out",
      permission: "public", // by then the session may have ended
      summary: "ends a browser's session, by the form of its page",
      body: z.strictObject({ csrf: csrfSchema }),
      form: "only",
      answers: { 303: "nothing" },
      mutates: "nothing",
    },
    async (call) => {
      demandForm(call, call.body.csrf);
      await endOld(deps, call);
      return { status: 303, headers: { location: "/sign-in", ...sessionCookie(call, "", 0) } };
    },
  );
}

/** The session that the browser had: with another cookie nobody could end it any more. */
async function endOld(deps: SignInPageDeps, call: Pick<Call, "header" | "ip">): Promise<void> {
  const { name: username = "", session } = (await viewerOf(deps, call)) ?? {};
  if (session === undefined) return;
  await deps.database.inTransaction(async (tx) =>
    endLogin(tx, { session, username, actor: username }, clientOf(call)),
  );
}

function clientOf({ ip, header }: Pick<Call, "ip" | "header">) {
  return { ip, agent: header("user-agent") };
}

/** What is told on the page, and not as JSON. @throws any other error */
function refusalIn<const S extends number>(error: unknown, statuses: readonly S[]) {
  const status = statuses.find((each) => error instanceof HttpProblem && each === error.status);
  if (!(error instanceof HttpProblem) || status === undefined) throw error;
  const retry = error.headers["Retry-After"];
  const headers = { ...PAGE_HEADERS, ...(retry === undefined ? {} : { "retry-after": retry }) };
  return { status, words: error.detail ?? error.title, headers };
}

function shownTo(
  known: Principal,
  { places }: SignInPageDeps,
  csrf: string,
  refusal?: string,
): string {
  const { name, role, withheld } = known;
  const seen = places.filter(({ permission }) => explain(known, permission).allowed);
  return signedInPage({
    csrf,
    name,
    role,
    places: seen,
    mustChange: withheld !== undefined,
    refusal,
  });
}

/** A sign-in leads to what is shown behind the API, and to nothing else. */
function placeOf(next: string | undefined, places: readonly Place[]): string | undefined {
  if (next === undefined || !/^[\x21-\x5b\x5d-\x7e]*$/.test(next)) return undefined; // no backslash
  const isBelow = ({ prefix }: Place): boolean =>
    next.startsWith(prefix) && /^(?:$|[/?])/.test(next.slice(prefix.length));
  return places.some(isBelow) ? next : undefined;
}
