import { withCorrelation } from "../lib/correlation.ts";
import type { AlertFrame } from "../lib/contracts.ts";
import { codeOf, messageOf } from "../lib/error.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Log } from "../lib/log.ts";
import type { Database, Queryable } from "../lib/postgres.ts";
import { inSpanFrom } from "../lib/tracing.ts";
import { appendAuditEntries } from "./audit.ts";
import { closeEpisodes, findWaitingEpisode, openEpisodes, type OpenEpisode } from "./episode.ts";
import { findRunsOfGroup, groupKeyOf, rememberGroup, stopTruncatedRuns } from "./groups.ts";
import { lookNow } from "./ledger.ts";
import { lockNames } from "./lock-names.ts";
import { demandsOf, findRunsFor, keyOf, lockRuns, placeDemands, type Candidate } from "./place.ts";
import { sortAlerts, type Told } from "./told.ts";
import type { EnqueueAll, Runbook } from "./types/intake.ts";
import { noRunEntries, wishOf, type Refused } from "./wish.ts";

export interface AdmitDeps {
  readonly database: Database;
  readonly log: Log;
  readonly enqueueAll: EnqueueAll;
  readonly catalog: readonly Runbook[];
  /** Name of the one cluster that this service reaches. */
  readonly cluster: string;
  readonly cooldownSeconds: number;
  readonly deadlineSeconds: number;
  /** The namespaces that a sender may speak for; null is all. */
  readonly sourceNamespacesOf: (source: string) => readonly string[] | null;
}

interface InboxRow {
  readonly id: string;
  readonly source: string;
  readonly content: AlertFrame;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
}

/** Then the slot takes a job again, so that a stop need not wait long. */
const OTHERS_AT_ONCE = 50;

/**
 * The way from a stored delivery to runs: lock what it is about → close the episodes of resolved alerts → open those of
 * firing ones → match a runbook and find the target → join the run that is there, or open one. All of a delivery in one
 * transaction, which marks it as processed; as many statements for one alert as for thousands (measured: 0.5 s for 5,000
 * alerts about as many targets, 7 s for the 50,000 that a delivery may hold, no statement over 1.7 s).
 */
export async function admitDelivery(inboxId: string, deps: AdmitDeps): Promise<void> {
  try {
    await admitStored(inboxId, deps);
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

/**
 * Looks at deliveries whose own jobs have not come yet: each of the job engine's slots takes two jobs a second, and a storm
 * brings more.
 */
export async function admitOthers(deps: AdmitDeps): Promise<void> {
  for (let done = 0; done < OTHERS_AT_ONCE; done += 1) {
    const { rows } = await deps.database.query<{ id: string }>(
      "SELECT id FROM inbox WHERE processed_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
    );
    const [next] = rows;
    if (next === undefined) return;
    try {
      await admitDelivery(next.id, deps);
    } catch (error) {
      // Its own job tries again, or the sweep; the job that brought us here has done its part.
      deps.log.warn("delivery not admitted, will be tried again", { inbox: next.id, error });
      return;
    }
  }
}

async function admitStored(inboxId: string, deps: AdmitDeps): Promise<void> {
  await deps.database.inTransaction(async (tx) => {
    const { rows } = await tx.query<InboxRow>(
      `SELECT id, source, content, correlation_id, traceparent FROM inbox
        WHERE id = $1 AND processed_at IS NULL FOR UPDATE SKIP LOCKED`,
      [inboxId],
    );
    const [delivery] = rows;
    if (delivery === undefined) return; // done by another worker, or being done
    await failpoint("inbox-claimed");
    const { id: inbox, source, content } = delivery;
    await withCorrelation(delivery.correlation_id ?? `inbox-${inbox}`, async () =>
      inSpanFrom(delivery.traceparent ?? undefined, "runbooks.admit", { inbox }, async () => {
        const told = sortAlerts(content.alerts);
        const truncated = content.truncatedAlerts > 0;
        await admitTold(tx, { source, groupKey: groupKeyOf(content), truncated, told }, deps);
        await tx.query("UPDATE inbox SET processed_at = now() WHERE id = $1", [inbox]);
      }),
    );
    await failpoint("run-created");
  });
}

/** What somebody tells of alerts: a sender's delivery, or what we asked Alertmanager ourselves. */
export interface Telling {
  readonly source: string;
  readonly groupKey: string | undefined;
  /** The group was cut: some of its alerts are not in it. */
  readonly truncated: boolean;
  readonly told: Told;
  /** Who says that alerts are over; the sender unless set. */
  readonly by?: "sender" | "reconcile";
}

/** Call it in a transaction of its own: it takes locks, and in an order. */
export async function admitTold(tx: Queryable, telling: Telling, deps: AdmitDeps): Promise<void> {
  const { source, groupKey, truncated, told, by = "sender" } = telling;
  const wishes = told.firing.map((alert) => wishOf({ ...alert, source, truncated }, deps));
  await lockNames(tx, [
    ...[...told.firing, ...told.resolved].map(({ fingerprint }) => `${source} ${fingerprint}`),
    ...wishes.flatMap((wish) => (wish.kind === "wish" ? keyOf(wish.wish) : [])),
    `group ${source} ${groupKey ?? ""}`,
  ]);
  await rememberGroup(tx, { source, groupKey, truncated });
  const lessened = await closeEpisodes(tx, { source, by }, told.resolved);
  const opened = await openEpisodes(tx, { source, groupKey, truncated }, told.firing);

  const byAlert = new Map(told.firing.map((alert, at) => [alert, wishes[at]]));
  const candidates: Candidate[] = [];
  const refused: Refused[] = [];
  for (const episode of opened) {
    const wish = byAlert.get(episode.alert);
    if (wish?.kind === "wish" && needsRun(episode))
      candidates.push({ ...wish.wish, episodeId: episode.id });
    if (wish?.kind === "refused" && episode.isNew) refused.push(wish);
  }
  await appendAuditEntries(tx, noRunEntries(source, refused));
  await startRuns(tx, { candidates, lessened, telling }, deps);
}

/** One run per episode: a repeated notification is nothing new, whatever became of the run. */
function needsRun({ runId, postponed }: OpenEpisode): boolean {
  return runId === undefined && !postponed;
}

interface Consequences {
  readonly candidates: readonly Candidate[];
  /** Runs that lost an alert, which has resolved. */
  readonly lessened: readonly string[];
  readonly telling: Pick<Telling, "source" | "groupKey" | "truncated">;
}

async function startRuns(
  tx: Queryable,
  { candidates, lessened, telling: { source, groupKey, truncated } }: Consequences,
  deps: AdmitDeps,
): Promise<void> {
  const demands = demandsOf(candidates);
  const met = new Set(await findRunsFor(tx, demands, deps.cooldownSeconds));
  const cut = truncated ? [...met, ...(await findRunsOfGroup(tx, source, groupKey))] : [];
  const { cooldownSeconds } = deps;
  const locked = await lockRuns(tx, [...new Set([...met, ...cut, ...lessened])], {
    cooldownSeconds,
    approvalsToo: truncated,
  });
  const present = locked.filter(({ id }) => met.has(id));
  const opened = await placeDemands(tx, demands, present, deps);
  await stopTruncatedRuns(tx, cut);
  const over = await findRunsWithoutAlerts(tx, lessened);
  await lookNow(tx, ...over);
  await deps.enqueueAll(
    tx,
    "runbooks-run",
    [...opened, ...over].map((runId) => ({ runId })),
  );
}

/** The last alert of a run has resolved: whoever waits for an approval, or verifies, wants to know now. */
async function findRunsWithoutAlerts(
  tx: Queryable,
  ids: readonly string[],
): Promise<readonly string[]> {
  if (ids.length === 0) return [];
  const { rows } = await tx.query<{ id: string }>(
    `SELECT id FROM runs r WHERE id = ANY ($1) AND finished_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM episodes e WHERE e.run_id = r.id AND e.resolved_at IS NULL)`,
    [ids],
  );
  return rows.map(({ id }) => id);
}

/** Looks again at an alert that was left alone while its target rested. */
export async function admitWaitingEpisode(episodeId: string, deps: AdmitDeps): Promise<void> {
  await deps.database.inTransaction(async (tx) => {
    const found = await findWaitingEpisode(tx, episodeId, { lock: false });
    if (found === undefined) return;
    const wish = wishOf({ ...found.alert, ...found }, deps);
    if (wish.kind !== "wish") {
      // The catalogue has changed meanwhile, or the sender's rights: it has nothing to wait for any more.
      await tx.query("UPDATE episodes SET admit_at = NULL WHERE id = $1", [episodeId]);
      return;
    }
    await lockNames(tx, [`${found.source} ${found.alert.fingerprint}`, keyOf(wish.wish)]);
    const waiting = await findWaitingEpisode(tx, episodeId, { lock: true });
    if (waiting === undefined) return; // it has resolved, or somebody else was faster
    const candidates = [{ ...wish.wish, episodeId }];
    const telling = { source: found.source, groupKey: undefined, truncated: waiting.truncated };
    await startRuns(tx, { candidates, lessened: [], telling }, deps);
  });
}

/** Deliveries that nobody has looked at although their job should have run: the job engine lost or gave up on it. */
export async function findWaitingDeliveries(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM inbox WHERE processed_at IS NULL AND received_at < now() - interval '5 seconds' ORDER BY id LIMIT 100",
  );
  return rows.map(({ id }) => id);
}
