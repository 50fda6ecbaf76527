import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";
import { correlationId } from "../../lib/correlation.ts";
import { problemOf } from "../../lib/http.ts";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Access } from "../pages/access.ts";
import { problemPage } from "../pages/problem.ts";
import { signInPage } from "../pages/sign-in.ts";

/** Pages for those who accept HTML, JSON for all others. */
function wantsPage(request: Request, response: Response): boolean {
  response.vary("Accept");
  return request.accepts(["json", "html"]) === "html";
}

export function sendPage(response: Response, text: string, status = 200): void {
  response.status(status).set("Cache-Control", "no-store").type("html").send(text);
}

/** For the one page whose script looks for news: its own origin, and nothing else. */
export function allowOwnConnections(response: Response): void {
  const name = "Content-Security-Policy";
  response.set(name, `${response.get(name) ?? "default-src 'none'"};connect-src 'self'`);
}

/** One content in its two forms. */
export function answer(
  request: Request,
  response: Response,
  { page, json }: { readonly page: () => string; readonly json: () => object },
): void {
  if (wantsPage(request, response)) sendPage(response, page());
  else response.set("Cache-Control", "no-store").json(json());
}

/** Behind every route: an address that leads nowhere, for a person. */
export const unknownPage: RequestHandler = (request, response, next) => {
  if (wantsPage(request, response))
    throw new HttpProblem(404, "Not found", "There is no such page.");
  next();
};

/** Refusals and faults as pages, for those who accept HTML; all others get them as the rest of the service says them. */
export function problemPages(access: Access, log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent || !wantsPage(request, response)) {
      next(error);
      return;
    }
    const problem = problemOf(error);
    const { status, headers } = problem;
    if (status >= 500) log.error("page failed", { method: request.method, status, error });
    response.set(headers);
    if (status === 401 && request.method !== "PUT") {
      const next = request.method === "GET" ? request.originalUrl : "/";
      sendPage(response, signInPage({ next, canSignIn: access.canSignIn, wrong: false }), 401);
      return;
    }
    sendPage(response, problemPage(problem, correlationId()), status);
  };
}
