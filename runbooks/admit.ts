import { withCorrelation } from "../lib/correlation.ts";
import type { Alert, AlertFrame } from "../lib/contracts.ts";
import { codeOf, messageOf } from "../lib/error.ts";
import { failpoint } from "../lib/failpoint.ts";
import { newId } from "../lib/id.ts";
import type { Log } from "../lib/log.ts";
import type { Database, Queryable } from "../lib/postgres.ts";
import { currentTraceparent, inSpanFrom } from "../lib/tracing.ts";
import { appendAudit } from "./audit.ts";
import {
  closeEpisode,
  countOpenEpisodes,
  linkEpisode,
  openEpisode,
  postponeEpisode,
  takeWaitingEpisode,
  type Episode,
} from "./episode.ts";
import { keyOf, matchRunbook, targetOf } from "./match.ts";
import type { Enqueue, Runbook, Target, Trigger } from "./types.ts";

export interface AdmitDeps {
  readonly database: Database;
  readonly log: Log;
  readonly enqueue: Enqueue;
  readonly catalog: readonly Runbook[];
  /** Name of the one cluster that this service reaches. */
  readonly cluster: string;
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
  try {
    await admitAlerts(inboxId, deps);
  } catch (error) {
    if (!isUnreadableForDatabase(error)) throw error;
    await deps.database.query("UPDATE inbox SET processed_at = now(), error = $2 WHERE id = $1", [
      inboxId,
      messageOf(error),
    ]);
    deps.log.error("delivery set aside: the database cannot read it", { inbox: inboxId, error });
  }
}

/** SQLSTATE 22 (data) and 54 (limits): trying again would fail for ever. Everything else may pass. */
function isUnreadableForDatabase(error: unknown): boolean {
  return /^(22|54)/.test(codeOf(error));
}

async function admitAlerts(inboxId: string, deps: AdmitDeps): Promise<void> {
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
  const truncated = content.truncatedAlerts > 0;
  const episode = await openEpisode(tx, source, alert, truncated);
  // One run per episode: a repeated notification is nothing new, whatever became of the run.
  if (episode === undefined || episode.runId !== undefined) return;
  await startRun(tx, { episode, source, alert, truncated }, deps);
}

/** Looks again at an alert that was left alone while its target rested. */
export async function admitWaitingEpisode(episodeId: string, deps: AdmitDeps): Promise<void> {
  await deps.database.inTransaction(async (tx) => {
    const waiting = await takeWaitingEpisode(tx, episodeId);
    if (waiting !== undefined) await startRun(tx, waiting, deps);
  });
}

interface Firing {
  readonly episode: Episode;
  readonly source: string;
  readonly alert: Alert;
  readonly truncated: boolean;
}

/** match a runbook → find the target → join the run that is there, wait for the end of its rest, or open a new one */
async function startRun(tx: Queryable, firing: Firing, deps: AdmitDeps): Promise<void> {
  const { episode, source, alert, truncated } = firing;
  const runbook = matchRunbook(deps.catalog, alert);
  if (runbook === undefined) return;
  const found = targetOf(alert, deps.cluster);
  if (found.kind === "none") {
    const detail = { runbook: runbook.id, why: found.why, labels: alert.labels };
    await appendAudit(tx, NO_RUN, [{ event: "skipped_target", actor: source, detail }]);
    return;
  }
  const trigger = triggerOf(runbook, source, alert, truncated);
  const place = await placeOf(tx, { runbook, target: found.target, trigger }, deps);
  if (place.kind === "rests") await postponeEpisode(tx, episode, place.until);
  else await linkEpisode(tx, episode, place.runId);
}

/** An audit row about an alert that no run came of. */
const NO_RUN = { id: null, namespace: null, app: null, targetKey: null } as const;

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

type Place =
  | { readonly kind: "run"; readonly runId: string }
  | { readonly kind: "rests"; readonly until: Date };

async function placeOf(tx: Queryable, opening: Opening, deps: AdmitDeps): Promise<Place> {
  const { runbook, target, trigger } = opening;
  const targetKey = keyOf(target);
  // Two deliveries about one target wait for each other here; the unique index would only make one of them fail.
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [
    `${targetKey} ${runbook.id}`,
  ]);
  const { rows } = await tx.query<{
    id: string;
    namespace: string;
    app: string;
    rests_until: Date | null;
  }>(
    `SELECT id, namespace, app, finished_at + make_interval(secs => $3) AS rests_until FROM runs
      WHERE target_key = $1 AND runbook = $2
        AND (finished_at IS NULL OR finished_at > now() - make_interval(secs => $3))
      ORDER BY created_at DESC LIMIT 1`,
    [targetKey, runbook.id, deps.cooldownSeconds],
  );
  const [present] = rows;
  if (present === undefined) return { kind: "run", runId: await openRun(tx, opening, deps) };
  const { rests_until: until } = present;
  const event = until === null ? "joined" : "postponed";
  const detail = {
    alertname: trigger.alertname,
    reason: trigger.reason,
    starts_at: trigger.startsAt,
    until,
  };
  await appendAudit(tx, { ...present, targetKey }, [{ event, actor: trigger.source, detail }]);
  return until === null ? { kind: "run", runId: present.id } : { kind: "rests", until };
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
