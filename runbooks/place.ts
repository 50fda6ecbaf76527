import { newId } from "../lib/id.ts";
import type { Queryable } from "../lib/postgres.ts";
import { currentTraceparent } from "../lib/tracing.ts";
import { appendAuditEntries, type AuditEntry } from "./audit.ts";
import { linkEpisodes, postponeEpisodes } from "./episode.ts";
import { JOB_GRACE } from "./ledger.ts";
import type { Runbook } from "./types/intake.ts";
import type { Trigger } from "./types/run.ts";
import { targetKeyOf, type Target } from "./types/target.ts";

/** What an alert asks for: this runbook, for this target. */
export interface Wish {
  readonly runbook: Runbook;
  readonly target: Target;
  readonly trigger: Trigger;
}

/** An open episode without a run, and what it asks for. */
export interface Candidate extends Wish {
  readonly episodeId: string;
}

/** The alerts of one delivery that ask for the same; the first of them is the one that a new run is opened for. */
export interface Demand {
  readonly first: Candidate;
  readonly targetKey: string;
  readonly episodeIds: readonly string[];
}

/** The run that is there for a demand: it goes on, or has ended so lately that its target still rests. */
export interface PresentRun {
  readonly id: string;
  readonly namespace: string;
  readonly app: string;
  readonly targetKey: string;
  readonly runbook: string;
  readonly restsUntil: Date | null;
}

/** One run per runbook and target, however many alerts ask for it. */
export function demandsOf(candidates: readonly Candidate[]): readonly Demand[] {
  const demands = new Map<string, { first: Candidate; targetKey: string; episodeIds: string[] }>();
  for (const candidate of candidates) {
    const key = keyOf(candidate);
    const present = demands.get(key);
    if (present === undefined) {
      const targetKey = targetKeyOf(candidate.target);
      demands.set(key, { first: candidate, targetKey, episodeIds: [candidate.episodeId] });
    } else present.episodeIds.push(candidate.episodeId);
  }
  return [...demands.values()];
}

/** The identity of a run, as long as it goes on. */
export function keyOf({ target, runbook }: Pick<Wish, "target" | "runbook">): string {
  return `${targetKeyOf(target)} ${runbook.id}`;
}

/** The runs that may be there for these demands, by id; {@link lockRuns} says which of them are. */
export async function findRunsFor(
  tx: Queryable,
  demands: readonly Demand[],
  cooldownSeconds: number,
): Promise<readonly string[]> {
  if (demands.length === 0) return [];
  const { rows } = await tx.query<{ id: string }>(
    `SELECT r.id FROM unnest($1::text[], $2::text[]) AS t(target_key, runbook)
      CROSS JOIN LATERAL (
        SELECT id FROM runs
         WHERE target_key = t.target_key AND runbook = t.runbook
           AND (finished_at IS NULL OR finished_at > now() - make_interval(secs => $3))
         ORDER BY finished_at IS NULL DESC, created_at DESC LIMIT 1) r`,
    [
      demands.map(({ targetKey }) => targetKey),
      demands.map(({ first }) => first.runbook.id),
      cooldownSeconds,
    ],
  );
  return rows.map(({ id }) => id);
}

/**
 * Takes runs in the order of their ids, so that two deliveries never wait for each other, and with them their state as it
 * is now: a worker may have ended one since it was found.
 *
 * @param approvalsToo their pending requests are taken first, as those do who answer one
 */
export async function lockRuns(
  tx: Queryable,
  ids: readonly string[],
  options: { readonly cooldownSeconds: number; readonly approvalsToo: boolean },
): Promise<readonly PresentRun[]> {
  if (ids.length === 0) return [];
  if (options.approvalsToo) {
    await tx.query(
      "SELECT 1 FROM approvals WHERE run_id = ANY ($1) AND state = 'pending' ORDER BY id FOR UPDATE",
      [ids],
    );
  }
  const { rows } = await tx.query<PresentRun>(
    `SELECT id, namespace, app, target_key AS "targetKey", runbook,
            finished_at + make_interval(secs => $2) AS "restsUntil"
       FROM runs WHERE id = ANY ($1) ORDER BY id FOR UPDATE`,
    [ids, options.cooldownSeconds],
  );
  return rows;
}

/**
 * For each demand: join the run that is there, wait for the end of its rest, or open a new one. As many statements for one
 * demand as for thousands.
 *
 * @returns the runs that were opened
 */
export async function placeDemands(
  tx: Queryable,
  demands: readonly Demand[],
  present: readonly PresentRun[],
  { deadlineSeconds }: { readonly deadlineSeconds: number },
): Promise<readonly string[]> {
  const runs = new Map(present.map((run) => [`${run.targetKey} ${run.runbook}`, run]));
  const placed = demands.map((demand) => ({ demand, run: runs.get(keyOf(demand.first)) }));
  const opened = placed.flatMap(({ demand, run }) =>
    run === undefined ? [{ demand, runId: newId("run") }] : [],
  );
  const joined = placed.flatMap(({ demand, run }) =>
    run?.restsUntil === null ? [{ demand, run, runId: run.id }] : [],
  );
  const resting = placed.flatMap(({ demand, run }) => {
    const until = run?.restsUntil ?? null;
    return run === undefined || until === null ? [] : [{ demand, run, until }];
  });

  await insertRuns(tx, opened, deadlineSeconds);
  await addSource(tx, joined);
  await appendAuditEntries(
    tx,
    [
      ...opened.map(requestEntry),
      ...joined.map(({ demand, run }) => meetingEntry("joined", demand, run)),
      ...resting.map(({ demand, run, until }) => meetingEntry("postponed", demand, run, until)),
    ].toSorted(bySubject),
  );
  await linkEpisodes(
    tx,
    [...opened, ...joined].flatMap(({ demand, runId }) =>
      demand.episodeIds.map((id) => ({ id, runId })),
    ),
  );
  await postponeEpisodes(
    tx,
    resting.flatMap(({ demand, until }) => demand.episodeIds.map((id) => ({ id, at: until }))),
  );
  return opened.map(({ runId }) => runId);
}

interface Opened {
  readonly demand: Demand;
  readonly runId: string;
}

async function insertRuns(
  tx: Queryable,
  opened: readonly Opened[],
  deadlineSeconds: number,
): Promise<void> {
  if (opened.length === 0) return;
  const rows = opened.map(({ demand: { first, targetKey }, runId }) => ({
    id: runId,
    target_key: targetKey,
    runbook: first.runbook.id,
    namespace: first.target.namespace,
    app: first.target.app,
    trigger: first.trigger,
    source: first.trigger.source,
  }));
  await tx.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, correlation_id, traceparent,
                       sources, look_at)
     SELECT id, target_key, runbook, 'matched', namespace, app, trigger, now() + make_interval(secs => $2), id, $3,
            ARRAY[source], now() + ${JOB_GRACE}
       FROM jsonb_to_recordset($1::jsonb) AS t(id text, target_key text, runbook text, namespace text, app text,
                                               trigger jsonb, source text)`,
    [JSON.stringify(rows), deadlineSeconds, currentTraceparent() ?? null],
  );
}

/** A run says who all has told of it. */
async function addSource(tx: Queryable, joined: readonly Opened[]): Promise<void> {
  const [some] = joined;
  if (some === undefined) return;
  await tx.query(
    "UPDATE runs SET sources = array_append(sources, $2) WHERE id = ANY ($1) AND NOT ($2 = ANY (sources))",
    [joined.map(({ runId }) => runId), some.demand.first.trigger.source],
  );
}

function requestEntry({ demand, runId }: Opened): AuditEntry {
  const { runbook, target, trigger } = demand.first;
  const { namespace, app } = target;
  return {
    subject: { id: runId, namespace, app, targetKey: demand.targetKey },
    event: "request",
    actor: trigger.source,
    detail: { runbook: runbook.id, trigger, alerts: demand.episodeIds.length },
  };
}

function meetingEntry(
  event: "joined" | "postponed",
  { first: { trigger }, episodeIds }: Demand,
  { id, namespace, app, targetKey }: PresentRun,
  until: Date | null = null,
): AuditEntry {
  const { alertname, reason, startsAt, source } = trigger;
  const detail = { alertname, reason, starts_at: startsAt, until, alerts: episodeIds.length };
  return { subject: { id, namespace, app, targetKey }, event, actor: source, detail };
}

/** Whoever appends to the records of several runs does it in one order. */
function bySubject(left: AuditEntry, right: AuditEntry): number {
  return (left.subject.id ?? "") < (right.subject.id ?? "") ? -1 : 1;
}
