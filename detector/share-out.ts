import type { GroupView, Picture, ReplicaView } from "./types/groups.ts";

/** What one replica has to do so that the groups are spread evenly. */
export interface Share {
  /** Groups without an owner that are ours to take. */
  readonly take: readonly string[];
  /** Groups of ours that another replica should have. */
  readonly give: readonly string[];
}

type Loads = Map<string, number>;

/**
 * Spreads the groups over the replicas: nobody keeps two more than another who could have them, so of R replicas and G
 * groups each ends with at most ceil(G/R). Only what has no owner and what is too much moves: what an owner remembers of
 * the past is worth more than order. Pure, and the same for all who see the same picture.
 */
export function shareOut({ replicas, groups }: Omit<Picture, "held">, me: string): Share {
  const ordered = [...groups].sort((a, b) => compare(a.metric, b.metric));
  const candidates = [...replicas].sort((a, b) => compare(a.id, b.id));
  const loads: Loads = new Map(candidates.map(({ id }) => [id, 0]));
  for (const { owner } of ordered) if (owner !== undefined) add(loads, owner, 1);

  const take: string[] = [];
  for (const { metric, owner, abandoned } of ordered) {
    if (owner !== undefined) continue;
    // Who has just come, or lost the database for a while, gives a silent owner the time to renew its lease.
    const able = candidates.filter((one) => canOwn(one, metric) && (one.settled || !abandoned));
    const chosen = lightest(able, loads);
    if (chosen === undefined) continue;
    add(loads, chosen.id, 1);
    if (chosen.id === me) take.push(metric);
  }
  return { take, give: excess(ordered, candidates, loads, me) };
}

/** Moves one group after the other from the heaviest to the lightest, and says which of them are ours. */
function excess(
  groups: readonly GroupView[],
  replicas: readonly ReplicaView[],
  loads: Loads,
  me: string,
): readonly string[] {
  // A replica that dies soon after its start, again and again, must not make groups wander.
  const settled = replicas.filter((one) => one.settled);
  const movable = new Map(
    groups.flatMap(({ metric, owner }) =>
      owner !== undefined && loads.has(owner) ? [[metric, owner] as const] : [],
    ),
  );
  const give: string[] = [];
  for (;;) {
    const move = bestMove(movable, settled, loads);
    if (move === undefined) return give;
    movable.delete(move.metric);
    add(loads, move.from, -1);
    add(loads, move.to, 1);
    if (move.from === me) give.push(move.metric);
  }
}

interface Move {
  readonly metric: string;
  readonly from: string;
  readonly to: string;
  /** How many more groups the giver has. */
  readonly gain: number;
}

/** The move that levels most; undefined when none makes it more even. */
function bestMove(
  movable: ReadonlyMap<string, string>,
  replicas: readonly ReplicaView[],
  loads: Loads,
): Move | undefined {
  let best: Move | undefined;
  for (const [metric, from] of movable) {
    const to = lightest(
      replicas.filter((one) => canOwn(one, metric)),
      loads,
    );
    if (to === undefined) continue;
    const gain = loadOf(loads, from) - loadOf(loads, to.id);
    if (gain > Math.max(1, best?.gain ?? 0)) best = { metric, from, to: to.id, gain };
  }
  return best;
}

function canOwn({ metrics }: ReplicaView, metric: string): boolean {
  return metrics.includes(metric);
}

function lightest(replicas: readonly ReplicaView[], loads: Loads): ReplicaView | undefined {
  return replicas.reduce<ReplicaView | undefined>(
    (best, one) =>
      best === undefined || loadOf(loads, one.id) < loadOf(loads, best.id) ? one : best,
    undefined,
  );
}

function loadOf(loads: Loads, id: string): number {
  return loads.get(id) ?? 0;
}

function add(loads: Loads, id: string, change: number): void {
  const load = loads.get(id);
  if (load !== undefined) loads.set(id, load + change);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
