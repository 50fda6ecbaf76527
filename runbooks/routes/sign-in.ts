import express, { type Express } from "express";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { SESSION_COOKIE, type Access } from "../pages/access.ts";
import { readFields } from "../pages/read-query.ts";
import { signInPage } from "../pages/sign-in.ts";
import { sendPage } from "./answer.ts";
import { fromOwnPage, type GuardedRoutes } from "./guarded.ts";

/** A wrong token is answered late, so that guessing takes long; nobody is ever locked out by somebody else's guesses. */
const WRONG_DELAY_MS = 500;
const WAITING_MAX = 16;
const COOKIE = { httpOnly: true, secure: true, sameSite: "lax", path: "/" } as const;

/** Only a path of ours: a sign-in must not lead to another site. */
const nextField = z
  .string()
  .max(2000)
  .refine((path) => /^\/(?![/\\])[^\s\\\p{Cc}]*$/u.test(path))
  .catch("/");

const formSchema = z.object({
  token: z.string("must be given").max(1000, "must be at most 1000 characters"),
  next: nextField,
});

export interface SignInDeps {
  readonly access: Access;
  readonly clock: Pick<Clock, "sleep">;
}

export function addSignInRoutes(
  app: Express,
  guarded: GuardedRoutes,
  { access, clock }: SignInDeps,
): void {
  const { canSignIn } = access;
  let waiting = 0;
  app.get("/sign-in", (request, response) => {
    const next = nextField.parse(request.query["next"]);
    sendPage(response, signInPage({ next, canSignIn, wrong: false }));
  });
  const form = express.urlencoded({ extended: false, limit: 8 * 1024, parameterLimit: 10 });
  app.post("/sign-in", fromOwnPage, form, async (request, response) => {
    const { token, next } = readFields(formSchema, request.body);
    const session = access.signIn(token);
    if (session !== undefined) {
      response.cookie(SESSION_COOKIE, session.value, { ...COOKIE, maxAge: session.maxAgeMs });
      response.set("Cache-Control", "no-store").redirect(303, next);
      return;
    }
    if (waiting >= WAITING_MAX)
      throw new HttpProblem(429, "Too many tries", "Wait a little, and try again.");
    waiting += 1;
    try {
      await clock.sleep(WRONG_DELAY_MS);
    } finally {
      waiting -= 1;
    }
    sendPage(response, signInPage({ next, canSignIn, wrong: true }), 401);
  });
  guarded.post("/sign-out", (_request, response) => {
    response.clearCookie(SESSION_COOKIE, COOKIE).redirect(303, "/sign-in");
  });
}
