import { failpoint } from "../../lib/failpoint.ts";
import { ClusterError, type Cluster, type Pod, type Workload } from "../types/cluster.ts";
import type { Finding, Plan, PlanEffect } from "../types/plan.ts";
import { describeTarget, kindWord, type Target } from "../types/target.ts";
import { noArgument } from "./argument.ts";
import {
  advice,
  dryRunFinding,
  findWorkload,
  replicasFinding,
  rolloutFinding,
} from "./preflight.ts";
import type { Action, ApplyContext, Effect, PrepareRequest } from "./types.ts";

/** How long a disruption budget, or a pod that does not become ready, may hold the next eviction up. */
const WAIT_SECONDS_MAX = 300;
const LOOK_SECONDS = 2;
const PAUSE_SECONDS = 10;
const PAUSE_SECONDS_MAX = 30;
const NAMES_SHOWN = 5;

type EvictEffect = Extract<PlanEffect, { kind: "evict" }>;

/** What is kept between two looks. */
interface Progress {
  /** Uids of the pods that this run has evicted. */
  readonly evicted: readonly string[];
  /** RFC 3339: since when the next eviction has been waiting. */
  readonly waitingSince?: string;
}

/**
 * Evicts pods, batch by batch, so that their controller makes new ones. The plan holds each pod's uid: a new pod of the same
 * name is never touched. Disruption budgets are respected: an eviction that they refuse waits, and is never made a deletion.
 */
export const restartPods: Action = {
  name: "restart_pods",
  kinds: ["deployment", "statefulset", "daemonset"],
  readArgument: noArgument("restart_pods"),

  prepare: async (request, cluster) => {
    const { target } = request;
    const workload = await findWorkload(target, cluster);
    if ("refused" in workload) return { kind: "refused", why: workload.refused };
    const present = (await cluster.pods(target)).filter(({ leaving }) => !leaving);
    const chosen = choose(present, request);
    const [first] = chosen;
    if (first === undefined) return { kind: "refused", why: whyNone(present, target) };
    const plan = planOf(request, workload, chosen);
    const preflight = [
      ...strangers(present, request),
      ...rolloutFinding(target, workload, "stop"),
      ...onlyPod(present),
      ...(await budgetFindings(target, cluster)),
      replicasFinding(chosen.length, present.length),
      await dryRunFinding(async () => cluster.evict(target, { ...first, dryRun: true })),
    ];
    const blast = { affected: chosen.length, of: present.length };
    return { kind: "plan", plan, preflight, rollback: rollbackOf(target), blast };
  },

  apply: async (plan, context, cluster) => {
    const workload = await cluster.workload(plan.target);
    const noun = `the ${kindWord(plan.target)}`;
    if (workload === undefined) return { kind: "stale", why: `${noun} does not exist any more` };
    if (workload.uid !== plan.uid) return { kind: "stale", why: `${noun} was made anew` };
    return plan.dryRun
      ? checkAll(plan, context, cluster)
      : evictNext(plan, { ...context, workload }, cluster);
  },

  settled: async (plan, cluster) => {
    const workload = await cluster.workload(plan.target);
    const old = new Set(evictOf(plan).pods.map(({ uid }) => uid));
    const pods = await cluster.pods(plan.target);
    return (
      workload !== undefined &&
      !pods.some(({ uid }) => old.has(uid)) &&
      workload.observedGeneration >= workload.generation &&
      workload.availableReplicas >= workload.replicas
    );
  },
};

/**
 * The pods that the alerts name, else those that are not ready; all of them only when the alerts name none. No more than
 * the policy's `max`.
 */
function choose(present: readonly Pod[], { alertPods, rule }: PrepareRequest): readonly Pod[] {
  const named = present.filter(({ name }) => alertPods.includes(name));
  const sick = present.filter(({ ready }) => !ready);
  const choices = alertPods.length > 0 ? [named, sick] : [sick, present];
  const wanted = choices.find((pods) => pods.length > 0) ?? [];
  return wanted.slice(0, rule.options.max ?? wanted.length);
}

function whyNone({ length }: readonly Pod[], target: Target): string {
  return length === 0
    ? `${describeTarget(target)} has no pods`
    : "the pods that the alerts name are gone, and all others are ready";
}

/** A pod that an alert names, and that is not the target's, is nothing that this run may touch. */
function strangers(present: readonly Pod[], { alertPods }: PrepareRequest): readonly Finding[] {
  const own = new Set(present.map(({ name }) => name));
  const others = alertPods.filter((name) => !own.has(name));
  if (others.length === 0) return [];
  const text = `not among its pods now: ${others.slice(0, NAMES_SHOWN).join(", ")}`;
  return [{ severity: "info", about: "owner", text }];
}

function onlyPod({ length }: readonly Pod[]): readonly Finding[] {
  if (length > 1) return [];
  const text = "it is the only pod: nobody serves until its successor is ready";
  return [{ severity: "warn", about: "replicas", text }];
}

async function budgetFindings(target: Target, cluster: Cluster): Promise<readonly Finding[]> {
  return advice(
    "pdb",
    async () => cluster.budgets(target),
    (budgets) => {
      if (budgets.length > 1) {
        const names = budgets.map(({ name }) => name).join(", ");
        const text = `more than one disruption budget covers its pods (${names}): the server evicts none of them`;
        return [{ severity: "stop", about: "pdb", text }];
      }
      return budgets.map(({ name, allowed }) => ({
        severity: allowed > 0 ? "info" : "warn",
        about: "pdb",
        text: `disruption budget ${name} lets ${allowed} pods go now`,
      }));
    },
  );
}

function planOf(
  { target, rule, dryRun }: PrepareRequest,
  { uid, resourceVersion }: Workload,
  chosen: readonly Pod[],
): Plan {
  const batch = rule.options.batch ?? 1;
  const shown = chosen.slice(0, NAMES_SHOWN).map(({ name }) => name);
  const rest = chosen.length - shown.length;
  const names = `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  const pace = batch === 1 ? "one at a time" : `${batch} at a time`;
  return {
    action: "restart_pods",
    argument: undefined,
    target,
    uid,
    resourceVersion,
    dryRun,
    effect: {
      kind: "evict",
      pods: chosen.map(({ name, uid: pod }) => ({ name, uid: pod })),
      batch,
    },
    summary: `Evict ${chosen.length} pods of ${target.namespace}/${target.name}, ${pace}: ${names}`,
  };
}

/** In a dry run the server is asked about every pod; a budget that would hold one up now is no refusal. */
async function checkAll(plan: Plan, context: ApplyContext, cluster: Cluster): Promise<Effect> {
  for (const pod of evictOf(plan).pods) {
    const stop = await context.stopReason();
    if (stop !== undefined) return { kind: "stopped", why: stop, partial: false };
    try {
      await cluster.evict(plan.target, { ...pod, dryRun: true });
    } catch (error) {
      if (!(error instanceof ClusterError) || error.reason !== "pdb") throw error;
    }
  }
  return { kind: "checked" };
}

type EvictContext = ApplyContext & { readonly workload: Workload };

/** One batch, or as much of it as goes now. */
async function evictNext(plan: Plan, context: EvictContext, cluster: Cluster): Promise<Effect> {
  const { pods: planned, batch } = evictOf(plan);
  let progress = readProgress(context.progress);
  const present = await cluster.pods(plan.target);
  const left = planned.filter(({ uid }) => present.some((pod) => pod.uid === uid && !pod.leaving));
  if (left.length === 0) return { kind: "done", already: progress.evicted.length === 0 };
  const unready = whyNotYet(left, present, context.workload, progress);
  if (unready !== undefined) return waitFor(unready, "not_ready", LOOK_SECONDS, progress, context);

  for (const pod of left.slice(0, batch)) {
    const stop = await context.stopReason();
    const partial = progress.evicted.length > 0;
    if (stop !== undefined) return { kind: "stopped", why: stop, partial };
    try {
      await cluster.evict(plan.target, { ...pod, dryRun: false });
    } catch (error) {
      const held = whyHeld(error);
      if (held === undefined) throw error;
      return waitFor(held.why, held.reason, held.seconds, progress, context);
    }
    await failpoint("evicted-one");
    progress = { evicted: [...progress.evicted, pod.uid] };
    await context.record({ ...progress }, { evicted: pod.name, of: planned.length });
  }
  if (left.length <= batch) return { kind: "done", already: false };
  return { kind: "wait", seconds: LOOK_SECONDS, why: "the next pods go when these are replaced" };
}

/** Before the first eviction sick pods are what is to be expected; after it, all that is not in the plan must be well. */
function whyNotYet(
  left: readonly { readonly uid: string }[],
  present: readonly Pod[],
  { replicas }: Workload,
  { evicted }: Progress,
): string | undefined {
  if (evicted.length === 0) return undefined;
  const planned = new Set(left.map(({ uid }) => uid));
  const alive = present.filter(({ leaving }) => !leaving);
  if (alive.length < replicas) return `${replicas - alive.length} pods are not replaced yet`;
  const sick = alive.filter(({ uid, ready }) => !planned.has(uid) && !ready);
  return sick.length === 0
    ? undefined
    : `not ready yet: ${sick.map(({ name }) => name).join(", ")}`;
}

/** An eviction that may be let through later. */
function whyHeld(
  error: unknown,
): { readonly reason: string; readonly why: string; readonly seconds: number } | undefined {
  if (!(error instanceof ClusterError)) return undefined;
  if (error.reason !== "pdb" && error.reason !== "throttled") return undefined;
  const seconds = Math.min((error.retryAfterMs ?? PAUSE_SECONDS * 1000) / 1000, PAUSE_SECONDS_MAX);
  const reason = error.reason === "pdb" ? "pdb_blocked" : "throttled";
  return { reason, why: error.message, seconds };
}

async function waitFor(
  why: string,
  reason: string,
  seconds: number,
  progress: Progress,
  { now, record }: ApplyContext,
): Promise<Effect> {
  const since = progress.waitingSince ?? now.toISOString();
  const waited = (now.getTime() - Date.parse(since)) / 1000;
  if (waited > WAIT_SECONDS_MAX) {
    const done = `${progress.evicted.length} pods were evicted`;
    return { kind: "refused", reason, why: `${why} (waited ${Math.round(waited)} s; ${done})` };
  }
  if (progress.waitingSince === undefined)
    await record({ ...progress, waitingSince: since }, { waiting: why });
  return { kind: "wait", seconds, why };
}

function readProgress({ evicted, waitingSince }: ApplyContext["progress"]): Progress {
  const uids = Array.isArray(evicted) ? evicted.filter((uid) => typeof uid === "string") : [];
  return { evicted: uids, ...(typeof waitingSince === "string" ? { waitingSince } : {}) };
}

function rollbackOf({ namespace, kind, name }: Target): string {
  return [
    "Evicted pods do not come back; their controller has made new ones of the same template.",
    `If these do not become ready: kubectl -n ${namespace} rollout undo ${kind}/${name}`,
  ].join(" ");
}

function evictOf({ action, effect }: Plan): EvictEffect {
  if (effect.kind !== "evict") throw new Error(`a plan of ${action} holds a ${effect.kind}`);
  return effect;
}
