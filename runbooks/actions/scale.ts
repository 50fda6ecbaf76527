import { ClusterError, type Autoscaler, type Cluster, type Workload } from "../types/cluster.ts";
import type { Finding, Plan, PlanEffect } from "../types/plan.ts";
import type { PolicyRule } from "../types/policy.ts";
import { describeTarget, kindWord, type Target } from "../types/target.ts";
import { withoutConflict } from "./conflicts.ts";
import {
  advice,
  dryRunFinding,
  findWorkload,
  ownerFinding,
  replicasFinding,
  rolloutFinding,
} from "./preflight.ts";
import type { Action, ApplyContext, Effect, PrepareRequest } from "./types.ts";

/** More pods than that at once are nobody's remediation. */
const STEP_MAX = 100;

export const scaleUp = scaling("scale_up", "+");
export const scaleDown = scaling("scale_down", "-");

type ScaleEffect = Extract<PlanEffect, { kind: "scale" }>;

/**
 * Another number of pods. The plan holds the absolute number, so that a second call changes nothing; where an autoscaler
 * owns the number, it is left alone, or its minimum is raised when the policy says `hpa=raise-min`.
 */
function scaling(name: "scale_up" | "scale_down", sign: "+" | "-"): Action {
  return {
    name,
    kinds: ["deployment", "statefulset"],

    readArgument: (text) => {
      if (text === undefined || text === "") return { value: undefined };
      const [, digits = ""] = new RegExp(`^[${sign}]?([0-9]{1,3})$`).exec(text) ?? [];
      const step = Number(digits);
      if (step >= 1 && step <= STEP_MAX) return { value: `${sign}${step}` };
      const expected = `${name}:${sign}1 to ${name}:${sign}${STEP_MAX}`;
      return { problem: `expected ${expected}, got ${JSON.stringify(text)}` };
    },

    prepare: async (request, cluster) => {
      const { target } = request;
      const workload = await findWorkload(target, cluster);
      if ("refused" in workload) return { kind: "refused", why: workload.refused };
      const autoscaler = await readAutoscaler(request, cluster);
      if ("refused" in autoscaler) return { kind: "refused", why: autoscaler.refused };
      const effect = effectOf(sign, request, workload, autoscaler.found);
      if ("refused" in effect) return { kind: "refused", why: effect.refused };
      const plan = planOf(name, request, workload, effect);
      const preflight = await preflightOf(plan, workload, cluster);
      const affected = Math.abs(effect.to - effect.from);
      const blast = { affected, of: effect.from };
      return { kind: "plan", plan, preflight, rollback: rollbackOf(plan), blast };
    },

    apply: async (plan, context, cluster) =>
      withoutConflict(`the ${kindWord(plan.target)}`, async () => attempt(plan, context, cluster)),

    settled: async (plan, cluster) => {
      const { to } = scaleOf(plan);
      const workload = await cluster.workload(plan.target);
      return (
        workload !== undefined &&
        workload.observedGeneration >= workload.generation &&
        // An autoscaler may have gone beyond the minimum that it was given, and that is its business.
        (scaleOf(plan).hpa === undefined ? workload.replicas === to : workload.replicas >= to) &&
        workload.availableReplicas >= workload.replicas
      );
    },
  };
}

/** An autoscaler that cannot be read might be there: then the number is not ours to change. */
async function readAutoscaler(
  { target }: PrepareRequest,
  cluster: Cluster,
): Promise<{ readonly found: Autoscaler | undefined } | { readonly refused: string }> {
  try {
    return { found: await cluster.autoscaler(target) };
  } catch (error) {
    if (!(error instanceof ClusterError) || error.retryable) throw error;
    return { refused: `whether an autoscaler owns it is not known: ${error.message}` };
  }
}

/** The absolute numbers, within the policy's limits; or why there is nothing to do. */
function effectOf(
  sign: "+" | "-",
  request: PrepareRequest,
  { replicas: from }: Workload,
  autoscaler: Autoscaler | undefined,
): ScaleEffect | { readonly refused: string } {
  const { rule, target } = request;
  const raises = sign === "+" && rule.options.hpa === "raise-min";
  if (autoscaler !== undefined && !raises)
    return { refused: autoscalerRefusal(sign, target, autoscaler) };
  const { to, limit } = sign === "+" ? upFrom(from, rule, autoscaler) : downFrom(from, rule);
  // A limit can also lie on the other side: what has 9 pods is not "scaled up" to a maximum of 6.
  if (Math.sign(to - from) !== (sign === "+" ? 1 : -1))
    return { refused: `${describeTarget(target)} has ${from} pods, and ${limit} are allowed` };
  if (autoscaler === undefined) return { kind: "scale", from, to };
  const hpa = { name: autoscaler.name, minFrom: autoscaler.min, minTo: to };
  return { kind: "scale", from, to, hpa };
}

function upFrom(from: number, rule: PolicyRule, autoscaler: Autoscaler | undefined) {
  const most = Math.min(rule.options.max ?? Infinity, autoscaler?.max ?? Infinity);
  return { to: Math.min(from + stepOf(rule), most), limit: `at most ${most}` };
}

/** Down to none only when the policy says so in so many words: `min=0`. */
function downFrom(from: number, rule: PolicyRule) {
  const least = rule.options.min ?? 1;
  return { to: Math.max(from - stepOf(rule), least), limit: `at least ${least}` };
}

function stepOf({ argument }: PolicyRule): number {
  return Number((argument ?? "1").replace(/^[+-]/, ""));
}

function autoscalerRefusal(sign: "+" | "-", target: Target, { name }: Autoscaler): string {
  const hint = sign === "+" ? " (hpa=raise-min in the policy raises its minimum instead)" : "";
  return `the autoscaler ${name} decides how many pods ${describeTarget(target)} has${hint}`;
}

function planOf(
  action: "scale_up" | "scale_down",
  { target, rule, dryRun }: PrepareRequest,
  { uid, resourceVersion }: Workload,
  effect: ScaleEffect,
): Plan {
  const { from, to, hpa } = effect;
  const what = `${target.namespace}/${target.name}`;
  const summary =
    hpa === undefined
      ? `Scale ${what} from ${from} to ${to} pods`
      : `Raise the minimum of the autoscaler ${hpa.name} of ${what} from ${hpa.minFrom} to ${hpa.minTo} pods`;
  const argument = rule.argument;
  return { action, argument, target, uid, resourceVersion, dryRun, effect, summary };
}

async function preflightOf(
  plan: Plan,
  workload: Workload,
  cluster: Cluster,
): Promise<readonly Finding[]> {
  const { target } = plan;
  const { from, to } = scaleOf(plan);
  const more = to - from;
  const quotas = await advice(
    "quota",
    async () => (more > 0 ? cluster.podQuotas(target.namespace) : []),
    (found) =>
      found
        .filter(({ used, hard }) => hard - used < more)
        .map(({ name, used, hard }) => ({
          severity: "stop",
          about: "quota",
          text: `quota ${name} has room for ${Math.max(0, hard - used)} more pods (${used} of ${hard}), not for ${more}`,
        })),
  );
  return [
    ...rolloutFinding(target, workload, "warn"),
    ...ownerFinding(workload, "warn"),
    ...quotas,
    replicasFinding(Math.abs(more), from),
    await dryRunFinding(async () => {
      const current = await versionOf(plan, workload, cluster);
      return write({ ...plan, dryRun: true }, current, cluster);
    }),
  ];
}

async function attempt(
  plan: Plan,
  { stopReason }: ApplyContext,
  cluster: Cluster,
): Promise<Effect | undefined> {
  const state = await look(plan, cluster);
  if (state.kind !== "ready") return state;
  const stop = await stopReason();
  if (stop !== undefined) return { kind: "stopped", why: stop, partial: false };
  if ((await write(plan, state.resourceVersion, cluster)) === "conflict") return undefined;
  return plan.dryRun ? { kind: "checked" } : { kind: "done", already: false };
}

/** Is it done, is it still what was approved, or what is there now? */
async function look(
  plan: Plan,
  cluster: Cluster,
): Promise<Effect | { readonly kind: "ready"; readonly resourceVersion: string }> {
  const { target, uid } = plan;
  const { from, to, hpa } = scaleOf(plan);
  const workload = await cluster.workload(target);
  const noun = `the ${kindWord(target)}`;
  if (workload === undefined) return { kind: "stale", why: `${noun} does not exist any more` };
  if (workload.uid !== uid) return { kind: "stale", why: `${noun} was made anew` };
  const autoscaler = await cluster.autoscaler(target);
  if (autoscaler?.name !== hpa?.name)
    return { kind: "stale", why: `another autoscaler owns ${noun} now` };
  const [before, wanted, now, resourceVersion] =
    hpa === undefined || autoscaler === undefined
      ? [from, to, workload.replicas, workload.resourceVersion]
      : [hpa.minFrom, hpa.minTo, autoscaler.min, autoscaler.resourceVersion];
  if (now === wanted) return { kind: "done", already: true };
  if (now === before) return { kind: "ready", resourceVersion };
  const why = `${noun} changed: ${now} pods now, ${before} when the plan was made`;
  return { kind: "stale", why };
}

async function versionOf(plan: Plan, workload: Workload, cluster: Cluster): Promise<string> {
  if (scaleOf(plan).hpa === undefined) return workload.resourceVersion;
  return (await cluster.autoscaler(plan.target))?.resourceVersion ?? "";
}

async function write(plan: Plan, resourceVersion: string, cluster: Cluster) {
  const { target, dryRun } = plan;
  const { to, hpa } = scaleOf(plan);
  const request = { resourceVersion, replicas: to, dryRun };
  if (hpa === undefined) return cluster.scale(target, request);
  return cluster.setMinimum(target, hpa.name, request);
}

function rollbackOf(plan: Plan): string {
  const { namespace, kind, name } = plan.target;
  const { from, hpa } = scaleOf(plan);
  if (hpa === undefined)
    return `To take it back: kubectl -n ${namespace} scale ${kind}/${name} --replicas=${from}`;
  const patch = JSON.stringify({ spec: { minReplicas: hpa.minFrom } });
  return `To take it back: kubectl -n ${namespace} patch hpa/${hpa.name} --type=merge -p '${patch}'`;
}

function scaleOf({ action, effect }: Plan): ScaleEffect {
  if (effect.kind !== "scale") throw new Error(`a plan of ${action} holds a ${effect.kind}`);
  return effect;
}
