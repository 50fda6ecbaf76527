import { z } from "zod";
import { refresh, signIn, signOut, type SignInDeps } from "../auth/sign-in.ts";
import type { Call } from "../frame/call.ts";
import { bearerOf } from "../frame/guard.ts";
import type { Router } from "../frame/router.ts";

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
}

function clientOf({ ip, header }: Pick<Call, "ip" | "header">) {
  return { ip, agent: header("user-agent") };
}
