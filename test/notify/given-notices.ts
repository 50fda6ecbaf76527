import { systemClock } from "../../lib/clock.ts";
import { newId } from "../../lib/id.ts";
import { silentLog, type Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { openOutboxTable } from "../../runbooks/adapters/outbox-table.ts";
import { appendAudit } from "../../runbooks/audit.ts";
import { findRun } from "../../runbooks/ledger.ts";
import { tellUntil } from "../../runbooks/notify/notices.ts";
import type { Channel, ChannelName } from "../../runbooks/types/notice.ts";

export const LINKS = {
  run: (id: string) => `https://fettle.example.com/runs/${id}`,
  approval: (id: string) => `https://fettle.example.com/approvals/${id}`,
  queue: () => "https://fettle.example.com/approvals",
};

interface GivenTrigger {
  readonly alertname?: string;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface GivenNotices {
  /** A run with a plan, of an app of its own; no sweep looks at it. */
  run(
    change?: GivenTrigger & { readonly app?: string; readonly dryRun?: boolean },
  ): Promise<string>;
  /** It waits for a person. */
  ask(runId: string, seconds?: number): Promise<void>;
  /** It comes into a state, with a row of the record. */
  move(runId: string, state: string, more?: GivenMove): Promise<void>;
  /** Starts a dispatcher; several are as several replicas. */
  tell(channels: readonly Channel[], fallbacks?: readonly ChannelName[]): () => Promise<void>;
  /** Rows of the outbox that are not done. */
  waiting(): Promise<number>;
  results(): Promise<Readonly<Record<string, number>>>;
}

interface GivenMove {
  readonly by?: string;
  readonly outcome?: string;
  readonly event?: string;
}

const ENDS = /^(succeeded|failed|unknown|rejected|expired|cancelled|plan_stale|resolved|skipped)/;

/** Runs as the service's steps leave them, and dispatchers that tell of them. */
export function givenNotices(database: Database, log: Log = silentLog): GivenNotices {
  const audit = async (runId: string, event: string, actor: string, detail: object) => {
    const run = await findRun(runId, database);
    if (run === undefined) throw new Error(`there is no run ${runId}`);
    await appendAudit(database, run, [{ event, actor, detail: { ...detail } }]);
  };
  return {
    run: async (change = {}) => insertRun(database, change),
    ask: async (runId, seconds = 900) => {
      await database.query(
        `INSERT INTO approvals (id, run_id, plan_hash, expires_at, approvers)
         VALUES ($1, $2, 'plan-hash', now() + make_interval(secs => $3), '{ana,U012AB3CD,@S0123AB}')`,
        [newId("apr"), runId, seconds],
      );
      await database.query("UPDATE runs SET state = 'approval_pending' WHERE id = $1", [runId]);
      await audit(runId, "approval_pending", "fettle", {});
    },
    move: async (runId, state, { by, outcome, event = state } = {}) => {
      await database.query(
        `UPDATE runs SET state = $2, state_since = now(), outcome = coalesce($3, outcome),
                finished_at = CASE WHEN $4 THEN now() END WHERE id = $1`,
        [runId, state, outcome ?? null, ENDS.test(state)],
      );
      const verdict = /^(approved|rejected|expired|resolved)/.exec(state)?.[1];
      await database.query(
        `UPDATE approvals SET state = $2, decided_by = $3, decided_at = now() WHERE run_id = $1 AND state = 'pending'`,
        [runId, verdict === "resolved" ? "cancelled" : (verdict ?? "pending"), by ?? null],
      );
      await audit(runId, event, by ?? "fettle", outcome === undefined ? {} : { why: outcome });
    },
    tell: (channels, fallbacks = []) => {
      const stopping = new AbortController();
      const telling = tellUntil(stopping.signal, {
        channels,
        fallbacks: new Set(fallbacks),
        database,
        outbox: openOutboxTable(database),
        log,
        clock: systemClock,
        delivered: () => undefined,
        oldest: () => undefined,
      });
      return async () => {
        stopping.abort();
        await telling;
      };
    },
    waiting: async () => {
      // One statement: between two of them a notice could become a letter unseen.
      const { rows } = await database.query<{ n: number }>(
        `SELECT (SELECT count(*) FROM runbooks_outbox WHERE result IS NULL AND event <> 'reminder')::int
              + (SELECT count(*) FROM runbooks_notices WHERE fanned_out_at IS NULL)::int AS n`,
      );
      return rows[0]?.n ?? 0;
    },
    results: async () => {
      const { rows } = await database.query<{ result: string; n: number }>(
        "SELECT coalesce(result, 'waiting') AS result, count(*)::int AS n FROM runbooks_outbox WHERE event <> 'reminder' GROUP BY 1",
      );
      return Object.fromEntries(rows.map(({ result, n }) => [result, n]));
    },
  };
}

let made = 0;

async function insertRun(
  database: Database,
  {
    app,
    dryRun = false,
    alertname = "KubePodCrashLooping",
    reason = "level_shift",
    labels = {},
    annotations = {},
  }: GivenTrigger & { readonly app?: string; readonly dryRun?: boolean },
): Promise<string> {
  made += 1;
  const id = newId("run");
  const name = app ?? `checkout-${made}`;
  const target = { cluster: "eu-1", namespace: "shop", kind: "deployment", name, app: name };
  const plan = {
    action: "rollout_restart",
    target,
    uid: "uid-1",
    resourceVersion: "1",
    dryRun,
    effect: { kind: "restart", restartedAt: "2026-11-21T03:00:00Z", generation: 1 },
    summary: `Restart the 3 pods of shop/${name}, one after the other`,
  };
  const trigger = {
    trigger: "latency_p99",
    reason,
    alertname,
    source: "detector",
    labels: { severity: "critical", ...labels },
    annotations: {
      current: "2.4",
      baseline: "0.3",
      zscore: "7.1",
      sparkline: "▁▁▂█",
      ...annotations,
    },
    startsAt: "2026-11-21T03:00:00Z",
    truncated: false,
  };
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, plan, plan_hash, preflight, sources, deadline_at, look_at)
     VALUES ($1, $2, 'crashloop', 'collected', 'shop', $3, $4, $5, 'plan-hash', $6, '{detector}',
             now() + interval '1 hour', now() + interval '1 hour')`,
    [
      id,
      `eu-1/shop/deployment/${name}`,
      name,
      JSON.stringify(trigger),
      JSON.stringify(plan),
      JSON.stringify([{ severity: "info", about: "replicas", text: "3 of 3 pods" }]),
    ],
  );
  return id;
}
