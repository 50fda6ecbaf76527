import type { Database } from "../../lib/postgres.ts";
import type { Kubernetes } from "../fakes/kubernetes.ts";

type Mutation = ReturnType<Kubernetes["mutations"]>[number];

/** A run that took a slot: it alone may have had an effect. */
interface Actor {
  readonly id: string;
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  /** Unique ids of the pods that it may evict. */
  readonly pods: readonly string[];
  readonly scaler: string | null;
}

const EVICTION = /\/namespaces\/([^/]+)\/pods\/([^/]+)\/eviction$/;
const CHANGE = /\/namespaces\/([^/]+)\/([a-z]+)s\/([^/]+)(?:\/scale)?$/;

/** 3: each effect belongs to a run that took a slot for it, and none happened twice. */
export async function effectProblems(
  database: Database,
  mutations: readonly Mutation[],
): Promise<string[]> {
  const { rows: actors } = await database.query<Actor>(
    `SELECT r.id, r.namespace, split_part(r.target_key, '/', 3) AS kind, split_part(r.target_key, '/', 4) AS name,
            coalesce((SELECT array_agg(p->>'uid') FROM jsonb_array_elements(
              CASE WHEN r.plan->'effect'->>'kind' = 'evict' THEN r.plan->'effect'->'pods' ELSE '[]' END) p), '{}') AS pods,
            r.plan->'effect'->'hpa'->>'name' AS scaler
       FROM runs r WHERE EXISTS (SELECT 1 FROM breaker_slots s WHERE s.run_id = r.id)`,
  );
  const evictions = mutations.filter(({ path }) => EVICTION.test(path));
  const changes = mutations.filter(({ path }) => !EVICTION.test(path));
  return [
    ...mutations
      .filter(
        ({ method, path }) => method === "DELETE" || (method === "POST" && !EVICTION.test(path)),
      )
      .map(({ method, path }) => `nobody may ${method} ${path}`),
    ...evictionProblems(evictions, actors),
    ...changeProblems(changes, actors),
    ...runIdProblems(changes),
  ];
}

function evictionProblems(evictions: readonly Mutation[], actors: readonly Actor[]): string[] {
  const uids = evictions.map(uidOf);
  const planned = new Set(actors.flatMap(({ pods }) => pods));
  return [
    ...uids.filter((uid, at) => uids.indexOf(uid) !== at).map((uid) => `pod ${uid} evicted twice`),
    ...uids.filter((uid) => !planned.has(uid)).map((uid) => `nobody planned to evict pod ${uid}`),
  ];
}

function uidOf({ path, body }: Mutation): string {
  const { deleteOptions } = body as { deleteOptions?: { preconditions?: { uid?: string } } };
  return deleteOptions?.preconditions?.uid ?? `without a uid: ${path}`;
}

/** An object is changed at most as often as there are runs that may change it. */
function changeProblems(changes: readonly Mutation[], actors: readonly Actor[]): string[] {
  const byObject = Map.groupBy(changes, ({ path }) => path.replace(/\/scale$/, ""));
  return [...byObject].flatMap(([path, all]) => {
    const [, namespace, kind, name] = CHANGE.exec(path) ?? [];
    const allowed = actors.filter(
      (actor) =>
        actor.namespace === namespace &&
        actor.pods.length === 0 &&
        ((actor.kind === kind && actor.name === name) ||
          (kind === "horizontalpodautoscaler" && actor.scaler === name)),
    );
    return all.length <= allowed.length
      ? []
      : [`${all.length} changes of ${path} by ${allowed.length} runs with a slot`];
  });
}

/** Where the change itself names its run: each names another one. */
function runIdProblems(changes: readonly Mutation[]): string[] {
  const ids = changes.flatMap(({ body }) => {
    const { metadata } = body as { metadata?: { annotations?: Record<string, string> } };
    const value = Object.values(metadata?.annotations ?? {}).find((one) => one.startsWith("run_"));
    return value === undefined ? [] : [value];
  });
  return ids
    .filter((id, at) => ids.indexOf(id) !== at)
    .map((id) => `${id} changed the cluster twice`);
}

/** 4: never more slots than the limit, in any hour or day; each run's slots are those of its target and of its app. */
export async function slotProblems(
  database: Database,
  { hourly, daily }: { readonly hourly: number; readonly daily: number },
): Promise<string[]> {
  const { rows: worst } = await database.query<{ app_key: string; hour: number; day: number }>(
    `SELECT app_key, max(hour)::int AS hour, max(day)::int AS day FROM (
       SELECT app_key,
              count(*) OVER (PARTITION BY app_key ORDER BY taken_at
                             RANGE BETWEEN CURRENT ROW AND interval '1 hour' FOLLOWING) AS hour,
              count(*) OVER (PARTITION BY app_key ORDER BY taken_at
                             RANGE BETWEEN CURRENT ROW AND interval '1 day' FOLLOWING) AS day
         FROM breaker_slots) w GROUP BY app_key`,
  );
  const { rows: odd } = await database.query<{ run_id: string; slots: number }>(
    "SELECT run_id, count(*)::int AS slots FROM breaker_slots GROUP BY run_id HAVING count(*) <> 2",
  );
  const { rows: unslotted } = await database.query<{ run_id: string }>(
    `SELECT run_id FROM runbooks_audit WHERE event = 'executed'
        AND run_id NOT IN (SELECT run_id FROM breaker_slots)`,
  );
  return [
    ...worst
      .filter(({ hour, day }) => hour > hourly || day > daily)
      .map(({ app_key: key, hour, day }) => `${key} used ${hour} slots an hour, ${day} a day`),
    ...odd.map(({ run_id: id, slots }) => `${id} has ${slots} slots instead of 2`),
    ...unslotted.map(({ run_id: id }) => `${id} executed without a slot`),
  ];
}
