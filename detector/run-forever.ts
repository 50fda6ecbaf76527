import { catchUp, runCycle, type CycleDeps } from "./cycle.ts";
import type { ModelInUse } from "./model-in-use.ts";
import type { WatchedMetric } from "./watched-metric.ts";

export interface ForeverDeps extends Omit<CycleDeps, "model" | "owns"> {
  readonly model: ModelInUse;
  /** What is ours; somebody works on a group at most once at a time. */
  readonly groups: {
    owns(metric: string): boolean;
    isIdle(metric: string): boolean;
    follow(): Promise<readonly WatchedMetric[]>;
    evaluate(
      work: (watched: readonly WatchedMetric[]) => Promise<void>,
      wanted?: readonly WatchedMetric[],
    ): Promise<void>;
    dropEnded(): void;
  };
  readonly leases: {
    start(onBeat: () => void): void;
    handOver(isWritten: (metric: string) => boolean): Promise<void>;
  };
  readonly journal: CycleDeps["journal"] & { isWritten(metric: string): boolean };
}

/**
 * Runs a cycle at every whole step until the signal aborts. A cycle that took longer is followed by the next at once. A
 * cycle has one model. After it, groups that another replica should have are given away. What is taken over meanwhile
 * reads its past beside the cycles, which do not wait for it.
 */
export async function runForever(deps: ForeverDeps): Promise<void> {
  const { groups, leases, journal, signal } = deps;
  const takeovers = new Set<Promise<void>>();
  leases.start(() => {
    const takeover = takeUp(deps).finally(() => takeovers.delete(takeover));
    takeovers.add(takeover);
  });
  while (!signal.aborted) {
    await attempt("cycle failed", deps, async () => {
      await groups.evaluate(async (watched) => runCycle(watched, cycleDeps(deps)));
      await leases.handOver((metric) => groups.isIdle(metric) && journal.isWritten(metric));
      groups.dropEnded();
    });
    const now = deps.clock.now().getTime();
    await deps.clock.sleep(deps.step - (now % deps.step), signal);
  }
  await Promise.all(takeovers);
}

async function takeUp(deps: ForeverDeps): Promise<void> {
  if (deps.signal.aborted) return;
  await attempt("catch-up failed", deps, async () => {
    const begun = await deps.groups.follow();
    if (begun.length === 0) return;
    await deps.groups.evaluate(async (watched) => catchUp(watched, cycleDeps(deps)), begun);
  });
}

function cycleDeps(deps: ForeverDeps): CycleDeps {
  return {
    ...deps,
    model: deps.model.current(),
    owns: (metric) => deps.groups.owns(metric),
  };
}

async function attempt(
  failure: string,
  { log }: Pick<ForeverDeps, "log">,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error(failure, { error });
  }
}
