import type { Workload } from "../types/cluster.ts";
import type { Plan, PlanEffect } from "../types/plan.ts";
import { kindWord, type Target } from "../types/target.ts";
import { withoutConflict } from "./conflicts.ts";
import { noArgument } from "./argument.ts";
import {
  dryRunFinding,
  findWorkload,
  ownerFinding,
  replicasFinding,
  rolloutFinding,
} from "./preflight.ts";
import type { Action, PrepareRequest } from "./types.ts";

/**
 * What `kubectl rollout restart` does: a new value in the pod template's restart annotation, which makes the controller
 * replace the pods step by step. The value is fixed in the plan, so that a second call changes nothing.
 */
export const rolloutRestart: Action = {
  name: "rollout_restart",
  kinds: ["deployment", "statefulset", "daemonset"],
  readArgument: noArgument("rollout_restart"),

  prepare: async (request, cluster) => {
    const { target, runId } = request;
    const workload = await findWorkload(target, cluster);
    if ("refused" in workload) return { kind: "refused", why: workload.refused };
    if (workload.paused) {
      const why = `the ${kindWord(target)} is paused: a restart would not roll out`;
      return { kind: "refused", why };
    }
    const plan = planOf(request, workload);
    const { restartedAt } = restartOf(plan);
    const { resourceVersion, replicas } = workload;
    const preflight = [
      ...rolloutFinding(target, workload, "stop"),
      ...ownerFinding(workload, "info"),
      replicasFinding(replicas, replicas),
      await dryRunFinding(async () =>
        cluster.restart(target, { resourceVersion, restartedAt, runId, dryRun: true }),
      ),
    ];
    const blast = { affected: replicas, of: replicas };
    return { kind: "plan", plan, preflight, rollback: rollbackOf(target), blast };
  },

  apply: async (plan, context, cluster) => {
    const { dryRun, target } = plan;
    const { restartedAt, generation } = restartOf(plan);
    return withoutConflict(`the ${kindWord(target)}`, async () => {
      const workload = await cluster.workload(target);
      const byUs = workload?.restartedBy === context.runId;
      if (workload !== undefined && (byUs || workload.restartedAt === restartedAt))
        return { kind: "done", already: true };
      const stale = whyStale(plan, workload, generation);
      if (workload === undefined || stale !== undefined)
        return { kind: "stale", why: stale ?? "it is gone" };
      const stop = await context.stopReason();
      if (stop !== undefined) return { kind: "stopped", why: stop, partial: false };
      const { resourceVersion } = workload;
      const { runId } = context;
      const request = { resourceVersion, restartedAt, runId, dryRun };
      if ((await cluster.restart(target, request)) === "conflict") return undefined;
      return dryRun ? { kind: "checked" } : { kind: "done", already: false };
    });
  },

  settled: async ({ target }, cluster) => {
    const workload = await cluster.workload(target);
    return (
      workload !== undefined &&
      workload.observedGeneration >= workload.generation &&
      workload.updatedReplicas >= workload.replicas &&
      workload.availableReplicas >= workload.replicas
    );
  },
};

function planOf({ target, now, dryRun }: PrepareRequest, workload: Workload): Plan {
  return {
    action: "rollout_restart",
    argument: undefined,
    target,
    uid: workload.uid,
    resourceVersion: workload.resourceVersion,
    dryRun,
    effect: {
      kind: "restart",
      restartedAt: now.toISOString(),
      generation: workload.generation,
    },
    summary: `Restart the ${workload.replicas} pods of ${target.namespace}/${target.name}, one after the other (rollout restart)`,
  };
}

/** Why the approval was not for this object, or undefined. */
function whyStale(
  { target, uid }: Plan,
  workload: Workload | undefined,
  generation: number,
): string | undefined {
  if (workload === undefined) return `the ${kindWord(target)} does not exist any more`;
  if (workload.uid !== uid) return `the ${kindWord(target)} was made anew`;
  if (workload.generation === generation) return undefined;
  return `the ${kindWord(target)} changed (generation ${generation} → ${workload.generation})`;
}

function rollbackOf({ namespace, kind, name }: Target): string {
  return [
    "The old pods cannot be brought back; the new ones run the same template.",
    `If they do not become ready: kubectl -n ${namespace} rollout status ${kind}/${name};`,
    `to go back to the revision before: kubectl -n ${namespace} rollout undo ${kind}/${name}`,
  ].join(" ");
}

function restartOf({ action, effect }: Plan): Extract<PlanEffect, { kind: "restart" }> {
  if (effect.kind !== "restart") throw new Error(`a plan of ${action} holds a ${effect.kind}`);
  return effect;
}
