import type { Cluster, RestartRequest, Workload } from "../../runbooks/types.ts";

export interface FakeCluster extends Cluster {
  /** Changes of the object, as a Deployment's controller or another person makes them. */
  change: (change: Partial<Workload>) => void;
  remove: () => void;
  readonly restarts: readonly RestartRequest[];
  /** Restarts that changed the object. */
  readonly effects: readonly RestartRequest[];
  /** Makes the next calls fail. */
  failWith: (error: Error | undefined) => void;
}

/** One Deployment with three pods, which finishes a rollout at once. */
export function fakeCluster(initial: Partial<Workload> = {}): FakeCluster {
  let workload: Workload | undefined = {
    generation: 1,
    observedGeneration: 1,
    resourceVersion: "100",
    replicas: 3,
    updatedReplicas: 3,
    availableReplicas: 3,
    paused: false,
    restartedAt: undefined,
    restartedBy: undefined,
    ...initial,
  };
  let failure: Error | undefined;
  const restarts: RestartRequest[] = [];
  const effects: RestartRequest[] = [];
  const answer = async () => {
    if (failure !== undefined) throw failure;
    return workload;
  };
  return {
    restarts,
    effects,
    workload: answer,
    restart: async (_target, request) => {
      const current = await answer();
      restarts.push(request);
      if (current?.resourceVersion !== request.resourceVersion) return "conflict";
      if (request.dryRun) return "accepted";
      effects.push(request);
      const generation = current.generation + 1;
      const resourceVersion = String(Number(current.resourceVersion) + 1);
      workload = {
        ...current,
        generation,
        observedGeneration: generation,
        resourceVersion,
        restartedAt: request.restartedAt,
        restartedBy: request.runId,
      };
      return "accepted";
    },
    change: (change) => {
      if (workload !== undefined) workload = { ...workload, ...change };
    },
    remove: () => {
      workload = undefined;
    },
    failWith: (error) => {
      failure = error;
    },
  };
}
