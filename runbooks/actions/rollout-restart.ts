import type { Action } from "./types.ts";

/** Status updates also move the resourceVersion, so a conflict says little: read again, at most this often. */
const CONFLICTS_MAX = 5;

/**
 * What `kubectl rollout restart` does: a new value in the pod template's restart annotation, which makes the Deployment
 * controller replace the pods step by step. The value is fixed in the plan, so that a second call changes nothing.
 */
export const rolloutRestart: Action = {
  name: "rollout_restart",

  objection: (workload) => {
    if (workload.paused) return "the Deployment is paused: a restart would not roll out";
    if (workload.replicas === 0)
      return "the Deployment is scaled to 0: there is nothing to restart";
    return undefined;
  },

  plan: (target, workload, { now, dryRun }) => ({
    action: "rollout_restart",
    target,
    generation: workload.generation,
    replicas: workload.replicas,
    restartedAt: now.toISOString(),
    dryRun,
    summary: `Restart the ${workload.replicas} pods of ${target.namespace}/${target.name}, one after the other (rollout restart)`,
  }),

  apply: async (plan, runId, cluster) => {
    const { restartedAt, dryRun } = plan;
    for (let attempt = 1; attempt <= CONFLICTS_MAX; attempt++) {
      const workload = await cluster.workload(plan.target);
      if (workload === undefined)
        return { kind: "stale", why: "the Deployment does not exist any more" };
      const byUs = workload.restartedBy === runId;
      if (byUs || workload.restartedAt === plan.restartedAt) return { kind: "done", already: true };
      if (workload.generation !== plan.generation) {
        return {
          kind: "stale",
          why: `the Deployment changed (generation ${plan.generation} → ${workload.generation})`,
        };
      }
      const { resourceVersion } = workload;
      const answer = await cluster.restart(plan.target, {
        resourceVersion,
        restartedAt,
        runId,
        dryRun,
      });
      if (answer === "accepted")
        return dryRun ? { kind: "checked" } : { kind: "done", already: false };
    }
    return { kind: "stale", why: `the Deployment kept changing (${CONFLICTS_MAX} conflicts)` };
  },

  settled: (workload) =>
    workload.observedGeneration >= workload.generation &&
    workload.updatedReplicas >= workload.replicas &&
    workload.availableReplicas >= workload.replicas,
};
