import { z } from "zod";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { weakness } from "../auth/password.ts";
import { endSessionsOf } from "../auth/sessions.ts";
import { refresh, signIn, signOut, type SignInDeps } from "../auth/sign-in.ts";
import { countGuess, forgetGuesses } from "../auth/throttle.ts";
import type { Call } from "../frame/call.ts";
import { bearerOf } from "../frame/guard.ts";
import type { Router } from "../frame/router.ts";
import { passwordSchema } from "../people/names.ts";
import { expand } from "../permissions.ts";

const tokensSchema = z
  .object({
    access_token: z.string(),
    refresh_token: z.string(),
    token_type: z.literal("bearer"),
    expires_in: z.int(),
    must_change_password: z.boolean(),
  })
  .meta({ id: "Tokens" });

/** OAuth clients say more than is needed. */
const oauth = {
  grant_type: z.string().max(32).optional(),
  scope: z.string().max(1_000).optional(),
  client_id: z.string().max(256).optional(),
  client_secret: z.string().max(256).optional(),
};
const loginSchema = z.strictObject({
  username: z.string().min(1).max(64),
  password: z.string().min(1).max(256),
  ...oauth,
});
const refreshSchema = z.strictObject({ refresh_token: z.string().min(1).max(256), ...oauth });
const logoutSchema = z
  .strictObject({ refresh_token: z.string().min(1).max(256).optional() })
  .optional();
const meSchema = z
  .object({
    name: z.string(),
    via: z.string(),
    role: z.string(),
    organization: z.string().nullable(),
    permissions: z.array(z.string()),
    must_change_password: z.boolean(),
  })
  .meta({ id: "Me" });

/** `/auth/*`: signing in and out. What these do is on record by themselves, refusals included. */
export function addAuthRoutes(router: Router, deps: SignInDeps): void {
  router.route(
    {
      method: "post",
      path: "/auth/token",
      permission: "public",
      summary: "signs in: an access token for ten minutes, and a refresh token",
      body: loginSchema,
      form: "too",
      answers: { 200: tokensSchema },
      mutates: "nothing",
    },
    async (call) => ({ status: 200, body: await signIn(deps, call.body, clientOf(call)) }),
  );
  router.route(
    {
      method: "post",
      path: "/auth/refresh",
      permission: "public",
      summary: "exchanges a refresh token, once; a second use ends the session",
      body: refreshSchema,
      form: "too",
      answers: { 200: tokensSchema },
      mutates: "nothing",
    },
    async (call) => ({
      status: 200,
      body: await refresh(deps, call.body.refresh_token, clientOf(call)),
    }),
  );
  router.route(
    {
      method: "post",
      path: "/auth/logout",
      permission: "public", // by then the access token has mostly expired
      summary:
        "ends the session of an access token, or of the refresh token given: all its tokens and WebSockets",
      body: logoutSchema,
      answers: { 204: "nothing" },
      mutates: "nothing",
    },
    async (call) => {
      const bearer = bearerOf({ headers: { authorization: call.header("authorization") } });
      await signOut(deps, { bearer, refreshToken: call.body?.refresh_token }, clientOf(call));
      return { status: 204 };
    },
  );
  addOwnRoutes(router, deps);
}

function addOwnRoutes(router: Router, deps: SignInDeps): void {
  router.route(
    {
      method: "get",
      path: "/auth/me",
      permission: "signed-in",
      summary: "who I am here, and what I may do",
      answers: { 200: meSchema },
    },
    async ({ principal }) => {
      const { name, via, role, organization = null, permissions, withheld } = principal;
      const granted = withheld === undefined ? [...expand(permissions)] : [];
      const must = withheld !== undefined;
      const body = {
        name,
        via,
        role,
        organization,
        permissions: granted,
        must_change_password: must,
      };
      return Promise.resolve({ status: 200, body });
    },
  );
  router.route(
    {
      method: "post",
      path: "/auth/password",
      permission: "signed-in",
      summary: "changes my password and ends my other sessions; refresh afterwards",
      body: z.strictObject({
        current_password: z.string().min(1).max(256),
        new_password: passwordSchema,
      }),
      answers: { 204: "nothing" },
      mutates: {
        action: "UserPasswordChanged",
        resource: "user",
        secretAnswer: true, // else the next change with the same key would look done
        secretFields: ["current_password", "new_password"],
      },
    },
    async (call) => {
      const { name, session } = call.principal;
      const checked = await check(deps, call);
      return call.change({ id: name, summary: "Changed the password" }, async (tx) => {
        if (checked instanceof HttpProblem) throw checked; // within the change, so that it is on record
        const { rowCount } = await tx.query(
          `UPDATE hypervisor_users SET password_hash = $2, must_change = false, updated_at = now(),
                  token_version = token_version + 1, version = version + 1
            WHERE username = $1 AND password_hash = $3`,
          [name, checked.new, checked.old],
        );
        if (rowCount === 0) throw wrong(); // it was changed since it was looked at
        await endSessionsOf(tx, name, "password", session);
        return { status: 204 };
      });
    },
  );
}

type PasswordCall = Pick<
  Call<unknown, unknown, { current_password: string; new_password: string }>,
  "principal" | "body" | "ip"
>;

/**
 * A stolen session must not be enough to take the account over, nor to guess its password.
 *
 * @returns the hashes of both passwords, or why not
 */
async function check(
  { database, passwords }: SignInDeps,
  { principal, body, ip }: PasswordCall,
): Promise<{ readonly old: string; readonly new: string } | HttpProblem> {
  if (principal.via !== "session")
    return new HttpProblem(403, "Not permitted", "Only who has signed in with a password has one.");
  const { name: username } = principal;
  await countGuess(database, { username, ip });
  const old = await hashOf(database, username);
  const verdict = await passwords.verify(body.current_password, old);
  if (verdict === "wrong" || old === null) return wrong();
  await forgetGuesses(database, { username, ip });
  const same = body.new_password === body.current_password ? "must be another one" : undefined;
  const weak = same ?? weakness(body.new_password, username);
  if (weak !== undefined) return new HttpProblem(400, "Bad request", `new_password: ${weak}`);
  return { old, new: await passwords.hash(body.new_password) };
}

function wrong(): HttpProblem {
  return new HttpProblem(403, "Not permitted", "The current password is wrong.");
}

async function hashOf(database: Database, username: string): Promise<string | null> {
  const { rows } = await database.query<{ password_hash: string | null }>(
    "SELECT password_hash FROM hypervisor_users WHERE username = $1",
    [username],
  );
  return rows[0]?.password_hash ?? null;
}

function clientOf({ ip, header }: Pick<Call, "ip" | "header">) {
  return { ip, agent: header("user-agent") };
}
