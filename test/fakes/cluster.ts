import type {
  Autoscaler,
  Budget,
  Cluster,
  EvictRequest,
  Pod,
  PodQuota,
  RestartRequest,
  ScaleRequest,
  Workload,
} from "../../runbooks/types/cluster.ts";

export interface FakeCluster extends Cluster {
  /** Changes of the object, as a workload's controller or another person makes them. */
  change: (change: Partial<Workload>) => void;
  remove: () => void;
  /** Everything that was asked to be changed, dry runs included. */
  readonly restarts: readonly RestartRequest[];
  readonly scales: readonly ScaleRequest[];
  readonly minimums: readonly ScaleRequest[];
  readonly evictions: readonly EvictRequest[];
  /** Restarts that changed the object. */
  readonly effects: readonly RestartRequest[];
  /** What a test puts beside the workload. */
  readonly world: {
    pods: Pod[];
    autoscaler: Autoscaler | undefined;
    budgets: Budget[];
    quotas: PodQuota[];
  };
  /** Makes the next calls fail. */
  failWith: (error: Error | undefined) => void;
  /** Makes the next evictions fail, and no other call. */
  failEvictionsWith: (error: Error | undefined) => void;
}

/** One workload with three pods, which finishes a rollout at once; an evicted pod is replaced at once. */
export function fakeCluster(initial: Partial<Workload> = {}): FakeCluster {
  let workload: Workload | undefined = {
    uid: "uid-1",
    generation: 1,
    observedGeneration: 1,
    resourceVersion: "100",
    replicas: 3,
    updatedReplicas: 3,
    availableReplicas: 3,
    paused: false,
    restartedAt: undefined,
    restartedBy: undefined,
    managedBy: undefined,
    ...initial,
  };
  let failure: Error | undefined;
  let evictionFailure: Error | undefined;
  let made = 0;
  const newPod = (): Pod => {
    made += 1;
    return { name: `pod-${made}`, uid: `pod-uid-${made}`, ready: true, leaving: false };
  };
  const restarts: RestartRequest[] = [];
  const effects: RestartRequest[] = [];
  const scales: ScaleRequest[] = [];
  const minimums: ScaleRequest[] = [];
  const evictions: EvictRequest[] = [];
  const world: FakeCluster["world"] = {
    pods: Array.from({ length: workload.replicas }, newPod),
    autoscaler: undefined,
    budgets: [],
    quotas: [],
  };
  const answer = async () => {
    if (failure !== undefined) throw failure;
    return workload;
  };
  const write = async (
    request: { readonly resourceVersion: string; readonly dryRun: boolean },
    change: Partial<Workload>,
  ) => {
    const current = await answer();
    if (current?.resourceVersion !== request.resourceVersion) return "conflict";
    if (request.dryRun) return "accepted";
    const generation = current.generation + 1;
    const resourceVersion = String(Number(current.resourceVersion) + 1);
    workload = {
      ...current,
      generation,
      observedGeneration: generation,
      resourceVersion,
      ...change,
    };
    return "accepted";
  };
  return {
    restarts,
    effects,
    scales,
    minimums,
    evictions,
    world,
    workload: answer,
    pods: async () => ((await answer()) === undefined ? [] : world.pods),
    autoscaler: async () => ((await answer()) === undefined ? undefined : world.autoscaler),
    budgets: async () => ((await answer()) === undefined ? [] : world.budgets),
    podQuotas: async () => ((await answer()) === undefined ? [] : world.quotas),
    restart: async (_target, request) => {
      restarts.push(request);
      const { restartedAt, runId } = request;
      const written = await write(request, { restartedAt, restartedBy: runId });
      if (written === "accepted" && !request.dryRun) effects.push(request);
      return written;
    },
    scale: async (_target, request) => {
      scales.push(request);
      const { replicas } = request;
      return write(request, { replicas, updatedReplicas: replicas, availableReplicas: replicas });
    },
    setMinimum: async (_target, _name, request) => {
      minimums.push(request);
      const current = world.autoscaler;
      if (current?.resourceVersion !== request.resourceVersion) return "conflict";
      if (!request.dryRun) world.autoscaler = { ...current, min: request.replicas };
      return "accepted";
    },
    evict: async (_target, request) => {
      await answer();
      if (evictionFailure !== undefined) throw evictionFailure;
      evictions.push(request);
      const at = world.pods.findIndex(({ uid }) => uid === request.uid);
      if (at < 0) return "gone";
      if (!request.dryRun) world.pods = world.pods.with(at, newPod());
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
    failEvictionsWith: (error) => {
      evictionFailure = error;
    },
  };
}
