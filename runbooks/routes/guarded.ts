import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import { HttpProblem } from "../../lib/problem.ts";
import { equalInConstantTime } from "../../lib/signature.ts";
import type { Access, Viewer } from "../pages/access.ts";
import { PERMISSIONS, type Permission } from "../pages/permissions.ts";

type Handler = (request: Request, response: Response, viewer: Viewer) => Promise<void> | void;

/** Registers routes that only viewers reach. */
export interface GuardedRoutes {
  get(path: string, handler: Handler): void;
  /** A form: it must stand on our own page, and carry the viewer's token against forgery. */
  post(path: string, handler: Handler, options?: { readonly limitBytes?: number }): void;
}

const FORM_LIMIT_BYTES = 16 * 1024;
const GUARDED: readonly (Permission | undefined)[] = ["view", "operate"];

export function guardedRoutes(app: Express, access: Access): GuardedRoutes {
  return {
    get: (path, handler) => {
      demandPermission(`GET ${path}`);
      app.get(path, async (request, response) => {
        await handler(request, response, demandViewer(request, access));
      });
    },
    post: (path, handler, { limitBytes: limit = FORM_LIMIT_BYTES } = {}) => {
      demandPermission(`POST ${path}`);
      const knownFirst: RequestHandler = (request, _response, next) => {
        demandViewer(request, access);
        next();
      };
      const form = express.urlencoded({ extended: false, limit, parameterLimit: 30 });
      app.post(path, knownFirst, fromOwnPage, form, async (request, response) => {
        const viewer = demandViewer(request, access);
        demandCsrf(request.body, viewer);
        await handler(request, response, viewer);
      });
    },
  };
}

function demandPermission(route: string): void {
  if (!GUARDED.includes(PERMISSIONS.get(route)))
    throw new Error(`${route}: pages/permissions.ts does not say who may reach it`);
}

/** What proxies add. One that adds nothing cannot be known: docs/pages.md says so. */
const PROXY_HEADER = /^(via|forwarded|x-forwarded-.+|x-real-ip)$/;

/** @throws HttpProblem 401 */
function demandViewer(request: Request, access: Access): Viewer {
  const viewer = access.viewerOf({
    authorization: request.get("authorization"),
    cookie: request.get("cookie"),
    host: request.get("host"),
    forwarded: Object.keys(request.headers).some((name) => PROXY_HEADER.test(name)),
  });
  if (viewer !== undefined) return viewer;
  throw new HttpProblem(401, "Sign in", "Send the token of RUNBOOKS_API_TOKEN.", {
    "WWW-Authenticate": 'Bearer realm="fettle"',
  });
}

/** @throws HttpProblem 403 */
function demandCsrf(body: unknown, { csrf }: Viewer): void {
  if (csrf === undefined) return;
  const { csrf: given } = (body ?? {}) as { readonly csrf?: unknown };
  if (typeof given === "string" && equalInConstantTime(given, csrf)) return;
  throw new HttpProblem(
    403,
    "Not allowed",
    "The form is too old. Load its page again, and repeat.",
  );
}

/**
 * A form on somebody else's page must not press our button. Browsers say where a form stands; `Origin` says nothing here,
 * because our pages send no referrer. Programs that say nothing are let through: they need a token anyway.
 */
export const fromOwnPage: RequestHandler = (request, _response, next) => {
  const site = request.get("sec-fetch-site") ?? "none";
  if (site !== "same-origin" && site !== "none")
    throw new HttpProblem(403, "Not allowed", "Use the form on our own page.");
  next();
};

/**
 * Default deny: a route that pages/permissions.ts does not name keeps the service from starting.
 *
 * @throws Error naming the routes
 */
export function demandPermissions(app: Express): void {
  const unknown = routesOf(app).filter((route) => !PERMISSIONS.has(route));
  if (unknown.length > 0)
    throw new Error(`pages/permissions.ts does not say who may reach ${unknown.join(", ")}`);
}

interface Layer {
  readonly route?: {
    readonly path: string;
    readonly stack: readonly { readonly method?: string }[];
  };
}

/** Every route that is registered, such as `GET /runs/:id`. */
function routesOf(app: Express): readonly string[] {
  const { stack } = app.router as unknown as { readonly stack: readonly Layer[] };
  const routes = stack.flatMap(({ route }) =>
    (route?.stack ?? []).map(
      ({ method }) => `${(method ?? "all").toUpperCase()} ${String(route?.path)}`,
    ),
  );
  return [...new Set(routes)];
}
