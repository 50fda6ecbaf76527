import { withCorrelation } from "../lib/correlation.ts";
import type { Alert, AlertFrame } from "../lib/contracts.ts";
import { failpoint } from "../lib/failpoint.ts";
import { newId } from "../lib/id.ts";
import type { Database, Queryable } from "../lib/postgres.ts";
import { currentTraceparent, inSpanFrom } from "../lib/tracing.ts";
import { appendAudit } from "./audit.ts";
import { closeEpisode, countOpenEpisodes, linkEpisode, openEpisode } from "./episode.ts";
import { keyOf, matchRunbook, targetOf } from "./match.ts";
import type { Enqueue, Runbook, Target, Trigger } from "./types.ts";

export interface AdmitDeps {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly catalog: readonly Runbook[];
  readonly cooldownSeconds: number;
  readonly deadlineSeconds: number;
}

interface InboxRow {
  readonly id: string;
  readonly source: string;
  readonly content: AlertFrame;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
}

/**
 * The way from a stored delivery to runs: for each alert open or close its episode → match a runbook → find the target →
 * open a run, or join the one that is there. All of a delivery in one transaction, which marks it as processed.
 */
export async function admitDelivery(inboxId: string, deps: AdmitDeps): Promise<void> {
  await deps.database.inTransaction(async (tx) => {
    const { rows } = await tx.query<InboxRow>(
      `SELECT id, source, content, correlation_id, traceparent FROM inbox
        WHERE id = $1 AND processed_at IS NULL FOR UPDATE SKIP LOCKED`,
      [inboxId],
    );
    const [delivery] = rows;
    if (delivery === undefined) return; // done by another worker, or being done
    await failpoint("inbox-claimed");
    await withCorrelation(delivery.correlation_id ?? `inbox-${delivery.id}`, async () =>
      inSpanFrom(
        delivery.traceparent ?? undefined,
        "runbooks.admit",
        { inbox: delivery.id },
        async () => {
          for (const alert of delivery.content.alerts) await admitAlert(tx, delivery, alert, deps);
          await tx.query("UPDATE inbox SET processed_at = now() WHERE id = $1", [delivery.id]);
        },
      ),
    );
    await failpoint("run-created");
  });
}

async function admitAlert(
  tx: Queryable,
  { source, content }: InboxRow,
  alert: Alert,
  deps: AdmitDeps,
): Promise<void> {
  if (alert.status === "resolved") {
    await admitResolved(tx, source, alert, deps);
    return;
  }
  const episode = await openEpisode(tx, source, alert);
  // One run per episode: a repeated notification is nothing new, whatever became of the run.
  if (episode === undefined || episode.runId !== undefined) return;
  const runbook = matchRunbook(deps.catalog, alert);
  const target = targetOf(alert);
  if (runbook === undefined || target === undefined) return;

  const trigger = triggerOf(runbook, source, alert, content.truncatedAlerts > 0);
  const runId = await joinOrOpenRun(tx, { runbook, target, trigger }, deps);
  await linkEpisode(tx, episode, runId);
}

/** The last alert of a run has resolved: whoever waits for an approval, or verifies, wants to know now. */
async function admitResolved(
  tx: Queryable,
  source: string,
  alert: Alert,
  deps: AdmitDeps,
): Promise<void> {
  const runId = (await closeEpisode(tx, source, alert))?.runId;
  if (runId !== undefined && (await countOpenEpisodes(runId, tx)) === 0)
    await deps.enqueue(tx, "runbooks-run", { runId });
}

interface Opening {
  readonly runbook: Runbook;
  readonly target: Target;
  readonly trigger: Trigger;
}

async function joinOrOpenRun(tx: Queryable, opening: Opening, deps: AdmitDeps): Promise<string> {
  const { runbook, target, trigger } = opening;
  const targetKey = keyOf(target);
  // Two deliveries about one target wait for each other here; the unique index would only make one of them fail.
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [
    `${targetKey} ${runbook.id}`,
  ]);
  const { rows } = await tx.query<{ id: string; namespace: string; app: string; active: boolean }>(
    `SELECT id, namespace, app, finished_at IS NULL AS active FROM runs
      WHERE target_key = $1 AND runbook = $2
        AND (finished_at IS NULL OR finished_at > now() - make_interval(secs => $3))
      ORDER BY created_at DESC LIMIT 1`,
    [targetKey, runbook.id, deps.cooldownSeconds],
  );
  const [present] = rows;
  if (present === undefined) return openRun(tx, opening, deps);
  await appendAudit(tx, { ...present, targetKey }, [
    { event: "joined", actor: trigger.source, detail: { trigger, cooldown: !present.active } },
  ]);
  return present.id;
}

async function openRun(
  tx: Queryable,
  { runbook, target, trigger }: Opening,
  deps: AdmitDeps,
): Promise<string> {
  const run = {
    id: newId("run"),
    targetKey: keyOf(target),
    namespace: target.namespace,
    app: target.name,
  };
  await tx.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, correlation_id, traceparent)
     VALUES ($1, $2, $3, 'matched', $4, $5, $6, now() + make_interval(secs => $7), $8, $9)`,
    [
      run.id,
      run.targetKey,
      runbook.id,
      run.namespace,
      run.app,
      JSON.stringify(trigger),
      deps.deadlineSeconds,
      run.id,
      currentTraceparent() ?? null,
    ],
  );
  await appendAudit(tx, run, [
    { event: "request", actor: trigger.source, detail: { runbook: runbook.id, trigger } },
  ]);
  await deps.enqueue(tx, "runbooks-run", { runId: run.id });
  return run.id;
}

function triggerOf(runbook: Runbook, source: string, alert: Alert, truncated: boolean): Trigger {
  const labels = new Map(Object.entries(alert.labels));
  return {
    trigger: runbook.trigger ?? labels.get("metric") ?? runbook.id,
    reason: labels.get("reason") ?? "",
    alertname: labels.get("alertname") ?? "",
    source,
    labels: alert.labels,
    annotations: alert.annotations,
    startsAt: alert.startsAt,
    truncated,
  };
}

/** Deliveries that nobody has looked at although their job should have run: the job engine lost or gave up on it. */
export async function findWaitingDeliveries(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM inbox WHERE processed_at IS NULL AND received_at < now() - interval '5 seconds' ORDER BY id LIMIT 100",
  );
  return rows.map(({ id }) => id);
}
