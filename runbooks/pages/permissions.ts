/**
 * Who may reach a route. `public`: anybody; `source`: a sender of alerts, by its own credential; `slack`: whoever Slack's
 * signature proves; `link`: whoever holds an approver's personal link; `view`: who may see the pages (access.ts); `operate`:
 * who may stop things there, and start what changes nothing: today the same people.
 */
export type Permission = "public" | "source" | "slack" | "link" | "view" | "operate";

/** Every route of the service. One that does not stand here is not registered: the service does not start with it. */
export const PERMISSIONS: ReadonlyMap<string, Permission> = new Map<string, Permission>([
  ["GET /health", "public"],
  ["GET /ready", "public"],
  ["GET /metrics", "public"],
  ["GET /assets/fettle.css", "public"],
  ["GET /assets/pages.js", "public"],
  ["POST /alertmanager", "source"],
  ["PUT /alertmanager", "source"],
  ["POST /alerts", "source"],
  ["PUT /alerts", "source"],
  ["POST /slack/interactive", "slack"],
  ["GET /slack/interactive", "slack"],
  ["GET /approve", "link"],
  ["POST /approve", "link"],
  ["GET /reject", "link"],
  ["POST /reject", "link"],
  ["GET /sign-in", "public"],
  ["POST /sign-in", "public"],
  ["POST /sign-out", "view"],
  ["GET /", "view"],
  ["GET /runs", "view"],
  ["GET /runs/:id", "view"],
  ["GET /runs/:id/stream", "view"],
  ["GET /runs/:id/diagnostics.tar.gz", "view"],
  ["GET /approvals", "view"],
  ["GET /approvals/:id", "view"],
  ["GET /audit", "view"],
  ["GET /audit/export", "view"],
  ["GET /breakers", "view"],
  ["POST /breakers/open", "operate"],
  ["POST /breakers/close", "operate"],
  ["GET /policy", "view"],
  ["POST /policy/try", "view"],
  ["GET /backtests", "view"],
  ["POST /backtests", "operate"],
  ["GET /backtests/:id", "view"],
  ["POST /runs/:id/cancel", "operate"],
  ["POST /runs/:id/dry-run", "operate"],
]);
