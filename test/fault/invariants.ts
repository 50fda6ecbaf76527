import type { Database } from "../../lib/postgres.ts";
import type { Kubernetes } from "../fakes/kubernetes.ts";
import { canariesIn } from "./world.ts";

/** What is looked at when a test's world is quiet. */
interface QuietWorld {
  readonly database: Database;
  readonly kubernetes: Pick<Kubernetes, "mutations">;
  /** Everything that the service's processes have printed. */
  readonly output: () => string;
  readonly approvers: readonly string[];
  readonly limits: { readonly hourly: number; readonly daily: number };
}

/** The events of one run that cannot come twice, in the only order in which they may come. */
const ORDER = [
  "request",
  "approval_pending",
  "approved",
  "intent",
  "executed",
  "verified",
  "resolved_before_action",
] as const;

/**
 * What must hold after every fault, whatever it was. Returns a sentence for each thing that does
 * not; call it when the world is quiet.
 */
export async function brokenInvariants(world: QuietWorld): Promise<readonly string[]> {
  const { database, kubernetes, output, approvers, limits } = world;
  return [
    ...(await inboxProblems(database)),
    ...(await runProblems(database)),
    ...effectProblems(kubernetes.mutations().map(({ method, path }) => `${method} ${path}`)),
    ...(await slotProblems(database, limits)),
    ...(await approvalProblems(database, approvers)),
    ...(await auditProblems(database)),
    ...canariesIn(output()).map((canary) => `the log holds ${canary}`),
  ];
}

/** 1: nothing that was accepted is lost, or left lying. */
async function inboxProblems(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ id: string; error: string | null }>(
    "SELECT id, error FROM inbox WHERE processed_at IS NULL OR error IS NOT NULL",
  );
  return rows.map(({ id, error }) => `delivery ${id} is not processed (${error ?? "waiting"})`);
}

/** 2 and 8: one run for the one episode, and it has ended. */
async function runProblems(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ id: string; finished: boolean; state: string }>(
    "SELECT id, state, finished_at IS NOT NULL AS finished FROM runs",
  );
  const episodes = (await database.query("SELECT 1 FROM episodes")).rowCount;
  return [
    ...(episodes === 1 ? [] : [`${episodes} episodes instead of 1`]),
    ...(rows.length === 1 ? [] : [`${rows.length} runs instead of 1`]),
    ...rows.filter(({ finished }) => !finished).map(({ id, state }) => `${id} is still ${state}`),
  ];
}

/** 3: the cluster's own log is the truth about what was done to it. */
function effectProblems(effects: readonly string[]): string[] {
  const evictions = effects.filter((effect) => effect.endsWith("/eviction"));
  const others = effects.length - evictions.length;
  // Each pod has a name of its own: the same address twice is the same pod twice.
  const twice = evictions.filter((effect, at) => evictions.indexOf(effect) !== at);
  return [
    ...(others > 1 || (others === 1 && evictions.length > 0)
      ? [`${effects.length} effects: ${effects.join(", ")}`]
      : []),
    ...twice.map((effect) => `done twice: ${effect}`),
    ...effects.filter((effect) => effect.startsWith("DELETE")).map((each) => `deleted: ${each}`),
  ];
}

/** 4: and no effect without a slot. */
async function slotProblems(database: Database, limits: QuietWorld["limits"]): Promise<string[]> {
  const { rows } = await database.query<{ app_key: string; slots: number }>(
    "SELECT app_key, count(*)::int AS slots FROM breaker_slots GROUP BY app_key",
  );
  const unslotted = await database.query<{ run_id: string }>(
    `SELECT run_id FROM runbooks_audit WHERE event = 'executed'
        AND run_id NOT IN (SELECT run_id FROM breaker_slots)`,
  );
  return [
    ...rows
      .filter(({ slots }) => slots > Math.min(1, limits.hourly))
      .map(({ app_key: app, slots }) => `${app} used ${slots} slots for one run`),
    ...unslotted.rows.map(({ run_id: id }) => `${id} executed without a slot`),
  ];
}

/** 5 and 6: what was executed had been approved, in time, by somebody who may. */
async function approvalProblems(
  database: Database,
  approvers: readonly string[],
): Promise<string[]> {
  const { rows } = await database.query<{ run_id: string }>(
    `SELECT e.run_id FROM runbooks_audit e
      WHERE e.event = 'executed' AND NOT EXISTS (
        SELECT 1 FROM approvals a JOIN runs r ON r.id = a.run_id
         WHERE a.run_id = e.run_id AND a.state = 'approved' AND a.plan_hash = r.plan_hash
           AND a.decided_at < e.ts AND a.decided_at < a.expires_at AND e.ts < r.deadline_at
           AND a.decided_by = ANY ($1))`,
    [approvers],
  );
  return rows.map(({ run_id: id }) => `${id} executed without a valid approval`);
}

/** 7: the record tells each step once, in order, and ends where the run ended. */
async function auditProblems(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ event: string; ts: Date }>(
    "SELECT event, ts FROM runbooks_audit WHERE event NOT IN ('joined', 'progress', 'policy_changed') ORDER BY xid, id",
  );
  const ranks = rows.map(({ event }) => (ORDER as readonly string[]).indexOf(event));
  const told = rows.map(({ event }) => event).join(", ");
  const steps = rows.slice(1).map(({ ts }, at) => ts.getTime() - (rows[at]?.ts.getTime() ?? 0));
  return [
    ...(ranks.includes(-1) ? [`the record holds an unexpected event: ${told}`] : []),
    ...(ranks.every((rank, at) => at === 0 || rank > (ranks[at - 1] ?? -1))
      ? []
      : [`the record repeats itself or is out of order: ${told}`]),
    ...(steps.some((step) => step < 0) ? [`the record's times run backwards: ${told}`] : []),
  ];
}
