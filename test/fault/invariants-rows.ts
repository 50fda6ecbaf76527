import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../lib/postgres.ts";

/** 1: nothing that was accepted is lost, or left lying. */
export async function inboxProblems(database: Database, patienceMs = 30_000): Promise<string[]> {
  await untilLookedAt(database, patienceMs);
  const waiting = await database.query<{ id: string; error: string | null }>(
    "SELECT id, error FROM inbox WHERE processed_at IS NULL OR (error IS NOT NULL AND content IS NOT NULL)",
  );
  // Without statistics of what a storm has just brought, each alert is looked for in all episodes, one by one.
  await database.query("ANALYZE inbox, episodes");
  const lost = await database.query<{ id: string; fingerprint: string }>(
    `SELECT i.id, a->>'fingerprint' AS fingerprint FROM inbox i, jsonb_array_elements(i.content->'alerts') a
      WHERE i.processed_at IS NOT NULL AND a->>'status' = 'firing' AND a->>'fingerprint' <> '' AND NOT EXISTS (
        SELECT 1 FROM episodes e WHERE e.source = i.source AND e.fingerprint = a->>'fingerprint')
      LIMIT 10`,
  );
  return [
    ...waiting.rows.map(
      ({ id, error }) => `delivery ${id} is not processed (${error ?? "waiting"})`,
    ),
    ...lost.rows.map(({ id, fingerprint }) => `alert ${fingerprint} of delivery ${id} is lost`),
  ];
}

async function untilLookedAt(database: Database, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    const { rowCount } = await database.query("SELECT 1 FROM inbox WHERE processed_at IS NULL");
    if (rowCount === 0) return;
    await sleep(200);
  }
}

/** 2 and 8: one run at a time for a target, and none that nobody looks at any more. */
export async function runProblems(database: Database): Promise<string[]> {
  const { rows: pairs } = await database.query<{ one: string; other: string }>(
    `SELECT a.id AS one, b.id AS other FROM runs a JOIN runs b USING (target_key, runbook)
      WHERE a.created_at < b.created_at AND (a.finished_at IS NULL OR a.finished_at > b.created_at)`,
  );
  const { rows: stuck } = await database.query<{ id: string; state: string; why: string }>(
    `SELECT id, state, CASE WHEN deadline_at < now() THEN 'after its deadline' ELSE 'and nobody looks at it' END AS why
       FROM runs WHERE finished_at IS NULL
        AND (deadline_at < now() - interval '30 seconds' OR look_at IS NULL OR look_at < now() - interval '30 seconds')`,
  );
  const { rows: alone } = await database.query<{ id: string }>(
    `SELECT id FROM episodes e WHERE run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE id = e.run_id)`,
  );
  return [
    ...pairs.map(({ one, other }) => `${one} and ${other} were at the same target at a time`),
    ...stuck.map(({ id, state, why }) => `${id} is ${state} ${why}`),
    ...alone.map(({ id }) => `episode ${id} has a run that does not exist`),
  ];
}

/** 5 and 6: what was executed had been approved, in time, by enough people who may and did not ask for it themselves. */
export async function approvalProblems(
  database: Database,
  { approvers, automatic = false }: { approvers: readonly string[]; automatic?: boolean },
): Promise<string[]> {
  if (automatic) return [];
  const { rows } = await database.query<{ run_id: string }>(
    `SELECT e.run_id FROM runbooks_audit e
      WHERE e.event = 'executed' AND NOT EXISTS (
        SELECT 1 FROM approvals a JOIN runs r ON r.id = a.run_id
         WHERE a.run_id = e.run_id AND a.state = 'approved' AND a.plan_hash = r.plan_hash
           AND a.decided_at < e.ts AND a.decided_at < a.expires_at AND e.ts < r.deadline_at
           AND a.decided_by = ANY ($1) AND a.decided_by IS DISTINCT FROM r.requested_by
           AND a.quorum <= (SELECT count(*) FROM approval_votes v
                             WHERE v.approval_id = a.id AND v.verdict = 'approved' AND v.at < e.ts
                               AND v.person = ANY ($1) AND v.person IS DISTINCT FROM r.requested_by))`,
    [approvers],
  );
  return rows.map(({ run_id: id }) => `${id} executed without a valid approval`);
}

/** Events of one run that cannot come twice, by the only order in which they may come. */
const ORDER: readonly (readonly string[])[] = [
  ["request"],
  ["collector_started"],
  ["collector_finished"],
  ["approval_pending"],
  ["approved", "rejected"],
  ["intent"],
  ["executed"],
];
const ENDS =
  /^(verified|failed|unknown|expired|cancelled|plan_stale|resolved_before_action|skipped_\w+)$/;
const END_RANK = ORDER.length;

/** What may come at any time, and again, has none: an alert that joins, a vote, progress. */
function rankOf(event: string): number | undefined {
  if (ENDS.test(event)) return END_RANK;
  const rank = ORDER.findIndex((names) => names.includes(event));
  return rank === -1 ? undefined : rank;
}

interface RunRecord {
  readonly id: string;
  readonly state: string;
  readonly finished: boolean;
  readonly slots: number;
  readonly rows: readonly { readonly event: string; readonly seconds: number }[];
}

/** 7: the record tells each step of each run once, in order, and ends where the run ended. */
export async function recordProblems(database: Database): Promise<string[]> {
  const { rows } = await database.query<RunRecord>(
    `SELECT r.id, r.state, r.finished_at IS NOT NULL AS finished,
            (SELECT count(*)::int FROM breaker_slots s WHERE s.run_id = r.id) AS slots,
            coalesce((SELECT jsonb_agg(jsonb_build_object('event', event, 'seconds', extract(epoch FROM ts)) ORDER BY xid, id)
                        FROM runbooks_audit WHERE run_id = r.id), '[]') AS rows
       FROM runs r`,
  );
  return rows.flatMap((run) => recordProblemsOf(run).map((problem) => `${run.id} ${problem}`));
}

function recordProblemsOf({ state, finished, slots, rows }: RunRecord): string[] {
  const steps = rows.filter(({ event }) => rankOf(event) !== undefined);
  const events = steps.map(({ event }) => event);
  const ranks = events.map((event) => rankOf(event) ?? 0);
  const told = `record: ${events.slice(0, 20).join(", ")}`;
  const end = state === "succeeded" ? "verified" : state;
  const rises = (values: readonly number[], least: number) =>
    values.every((value, at) => at === 0 || value - (values[at - 1] ?? 0) >= least);
  return [
    ...(events[0] === "request" ? [] : [`does not begin with its request; ${told}`]),
    ...(rises(ranks, 1) ? [] : [`repeats itself or is out of order; ${told}`]),
    ...(finished && events.at(-1) !== end ? [`is ${state}, and its record is not; ${told}`] : []),
    ...(slots > 0 !== events.includes("intent") && !isDryRun(state)
      ? [`has ${slots} slots; ${told}`]
      : []),
    ...(rises(
      steps.map(({ seconds }) => seconds),
      0,
    )
      ? []
      : [`has a record whose times run backwards; ${told}`]),
  ];
}

/** Only it comes to its intent without a slot. */
function isDryRun(state: string): boolean {
  return state === "skipped_dry_run";
}
