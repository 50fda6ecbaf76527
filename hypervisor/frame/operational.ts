import type { Express } from "express";
import { z } from "zod";
import { nameOf } from "./router.ts";
import type { AnyRoute } from "./route.ts";

const checks = z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string().optional() }));
const ready = z.object({ ready: z.boolean(), checks }).meta({ id: "Ready" });
const health = z
  .object({
    status: z.enum(["healthy", "degraded"]),
    service: z.string(),
    uptime_seconds: z.number(),
    checks,
  })
  .meta({ id: "Health" });

const define = { method: "get", permission: "public" } as const;

/** What all services answer before their own routes (lib/http.ts). */
export const OPERATIONAL: readonly AnyRoute[] = [
  {
    ...define,
    path: "/health",
    summary: "the process answers, and what it depends on",
    answers: { 200: health },
  },
  {
    ...define,
    path: "/ready",
    summary: "whether it can take work now",
    answers: { 200: ready, 503: ready },
  },
  {
    ...define,
    path: "/metrics",
    summary: "the service's metrics, as Prometheus reads them",
    answers: { 200: { media: "text/plain" } },
  },
];

/** What is served past the table has no permission, and nobody sees it there. @throws for such a route, by its name */
export function refuseUnlisted(app: Express, routes: readonly AnyRoute[]): void {
  const listed = new Set([...OPERATIONAL, ...routes].map(nameOf));
  for (const { route } of app.router.stack) {
    if (route === undefined) continue;
    const { methods } = route as unknown as { readonly methods: Readonly<Record<string, boolean>> };
    const path = route.path.replace(/\{(\/\*path)\}$/, "$1"); // a prefix with all methods, shown as GET (raw.ts)
    const shown = path === route.path ? Object.keys(methods) : ["get"];
    const stray = shown
      .map((method) => `${method.toUpperCase()} ${path}`)
      .find((name) => !listed.has(name));
    if (stray !== undefined) throw new Error(`route ${stray} stands in no table`);
  }
}
