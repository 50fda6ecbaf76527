import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import type { Clock } from "../../lib/clock.ts";
import { csvOf, type TextRow } from "../csv.ts";
import { newPlan } from "../new-plan.ts";
import type { AuditSource, ExportSession } from "../types.ts";

/**
 * `AIOPS_DATABASE_URL=mock`: the same pipeline over built-in rows, to try keys and destinations without a database. It keeps
 * no progress: each run exports all rows under the next free name.
 */
export function demoSource(clock: Clock): AuditSource {
  return {
    status: async () => ({ lastDoneAt: undefined, hasUnfinished: false, horizonAgeSeconds: 0 }),
    exclusively: async (work) => work(demoSession(clock)),
  };
}

function demoSession(clock: Clock): ExportSession {
  const read: ExportSession["read"] = ({ formula }) => ({
    batches: Readable.from([csvOf(DEMO_ROWS, formula)]),
    countRows: async () => DEMO_ROWS.length,
  });
  return {
    unfinished: async () => undefined,
    newRange: async () => ({
      after: undefined,
      last: { xid: "1000", id: String(DEMO_ROWS.length) },
      horizonXid: "1001",
      cutoff: clock.now(),
    }),
    isNameUsed: async () => false,
    commitPlan: async (range, choices) => newPlan(randomUUID(), range, choices),
    read,
    beside: async (work) => work({ read }),
    recordPart: async () => undefined,
    recordBuild: async () => undefined,
    chainHead: async () => undefined,
    cluster: async () => undefined,
    recordManifest: async () => undefined,
    recordReceipt: async () => undefined,
    recordUploaded: async () => undefined,
    finish: async () => undefined,
  };
}

const EVENTS = [
  ["request", "alertmanager", '{"alertname": "AIOpsAnomalyDetected", "reason": "level_shift"}'],
  ["collector_started", "fettle", '{"steps": ["pods", "events", "logs"]}'],
  ["collector_finished", "fettle", '{"bytes": 18231}'],
  ["approval_pending", "fettle", '{"expires_in_seconds": 600}'],
  ["approved", "ana@example.org", '{"via": "page", "comment": "first line\\nsecond, \\"quoted\\" 🛠"}'],
  ["executed", "fettle", '{"dry_run": false, "restarted_at": "2025-09-05T01:23:45Z"}'],
  ["verified", "=demo", '{"metric": "http_requests:success_rate", "after": 0.998}'],
] as const;

/** The row of `=demo` shows what the formula rule does. */
const DEMO_ROWS: readonly TextRow[] = EVENTS.map(([event, actor, detail], index) => ({
  id: String(index + 1),
  xid: "1000",
  ts: `2025-09-05T01:23:4${index}.123456Z`,
  run_id: "demo-run-1",
  event,
  actor,
  namespace: "shop",
  app: "checkout",
  target: "deployment/checkout",
  action: event === "executed" ? "rollout_restart" : null,
  detail,
  correlation_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  trace_id: null,
}));
