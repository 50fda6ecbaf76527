import { ClusterError } from "../types/cluster.ts";
import type { Container, Containers } from "../types/container.ts";
import type { Finding, Plan, PlanEffect } from "../types/plan.ts";
import { describeTarget, type Target } from "../types/target.ts";
import { noArgument } from "./argument.ts";
import { replicasFinding } from "./preflight.ts";
import type { Action, ApplyContext, Effect, PrepareRequest } from "./types.ts";

const RUNNING = "running";
/** What was started so lately may still be starting. */
const FRESH_SECONDS = 60;
const LOOK_SECONDS = 1;
const BUSY_LOOK_SECONDS = 15;
/** How long the hypervisor may do something else to the container before the run gives up. */
const BUSY_SECONDS_MAX = 300;
/** After this the verification judges, by the container itself. */
const OPERATION_SECONDS_MAX = 60;

/** What is kept between two looks. */
interface Progress {
  /** RFC 3339: since when the restart may have been asked for. */
  readonly askedAt?: string;
  /** The hypervisor's name for what it is doing about it. */
  readonly operation?: string;
  /** RFC 3339: since when the hypervisor has been busy with something else. */
  readonly waitingSince?: string;
}

/**
 * Restarts a container of the hypervisor. A restart is not idempotent by nature, so three things make it one: the plan holds
 * the time of the start that it is to end, that a call may be on its way is written down before the call, and the call bears
 * the run's id as its Idempotency-Key.
 */
export function restartContainer(containers: Containers): Action {
  return {
    name: "restart_container",
    kinds: ["container"],
    readArgument: noArgument("restart_container"),

    prepare: async (request) => {
      const { target, runId } = request;
      const container = await containers.find(target);
      const why = whyNot(target, container);
      if (container?.startedAt === undefined || why !== undefined)
        return { kind: "refused", why: why ?? "it is not known when it was started" };
      const preflight = [
        ...freshFinding(container.startedAt, request.now),
        replicasFinding(1, 1),
        await dryRunFinding(target, runId, containers),
      ];
      const plan = planOf(request, container, container.startedAt);
      const blast = { affected: 1, of: 1 };
      return { kind: "plan", plan, preflight, rollback: rollbackOf(target), blast };
    },

    apply: async (plan, context) => {
      const progress = readProgress(context.progress);
      const container = await containers.find(plan.target);
      const known = container && whatBecame(plan, container, progress);
      if (container === undefined) return lost(progress, "the container does not exist any more");
      if (known !== undefined) return known;
      return progress.operation === undefined
        ? ask(plan, context, containers)
        : follow(progress.operation, progress, context, containers);
    },

    settled: async (plan) => {
      const container = await containers.find(plan.target);
      return (
        container !== undefined &&
        container.uid === plan.uid &&
        container.state === RUNNING &&
        container.startedAt !== undefined &&
        container.startedAt !== startedAtOf(plan)
      );
    },
  };
}

/** Why nothing can be done with it, or undefined. */
function whyNot(target: Target, container: Container | undefined): string | undefined {
  if (container === undefined) return `there is no ${describeTarget(target)}`;
  if (container.state !== RUNNING)
    return `the container is ${container.state}: a restart is for one that runs`;
  return container.startedAt === undefined
    ? "the hypervisor does not say when it was started, so nobody could tell whether it was restarted"
    : undefined;
}

function freshFinding(startedAt: string, now: Date): readonly Finding[] {
  const seconds = Math.round((now.getTime() - Date.parse(startedAt)) / 1000);
  if (!(seconds < FRESH_SECONDS)) return [];
  const text = `it was started ${seconds} s ago: it may still be starting`;
  return [{ severity: "warn", about: "rollout", text }];
}

/** What may pass until somebody has answered is a warning; what the hypervisor refuses for good stops. */
async function dryRunFinding(
  target: Target,
  key: string,
  containers: Containers,
): Promise<Finding> {
  const finding = (severity: Finding["severity"], text: string): Finding => ({
    severity,
    about: "dry-run",
    text,
  });
  try {
    const answer = await containers.restart(target, { key, dryRun: true });
    if (answer.kind === "gone") return finding("stop", "the container is gone");
    return answer.kind === "busy"
      ? finding("warn", `the hypervisor is busy with it now: ${answer.why}`)
      : finding("info", "the hypervisor would accept it");
  } catch (error) {
    if (!(error instanceof ClusterError) || error.retryable) throw error;
    return finding("stop", error.message);
  }
}

function planOf({ target, dryRun }: PrepareRequest, { uid }: Container, startedAt: string): Plan {
  return {
    action: "restart_container",
    argument: undefined,
    target,
    uid,
    resourceVersion: startedAt,
    dryRun,
    effect: { kind: "container", name: target.name, startedAt },
    summary: `Restart the container ${target.namespace}/${target.name}, which has run since ${startedAt}`,
  };
}

/** What can be told by the container alone; undefined while it is as the plan found it. */
function whatBecame(plan: Plan, container: Container, progress: Progress): Effect | undefined {
  const { uid, state, startedAt } = container;
  if (uid !== plan.uid) return lost(progress, "the container was made anew");
  if (startedAt !== undefined && startedAt !== startedAtOf(plan)) {
    if (progress.askedAt !== undefined)
      return { kind: "done", already: progress.operation === undefined };
    return { kind: "stale", why: `it was started anew at ${startedAt}, by somebody else` };
  }
  if (progress.askedAt === undefined && state !== RUNNING)
    return { kind: "stale", why: `the container is ${state} now` };
  return undefined;
}

/** Before the call nothing has happened; after it something may have. */
function lost({ askedAt }: Progress, why: string): Effect {
  return askedAt === undefined
    ? { kind: "stale", why }
    : { kind: "refused", reason: "container_lost", why: `${why}, after its restart was asked for` };
}

/** Writes down that it asks, and asks. Whoever comes back without an answer asks again with the same key. */
async function ask(plan: Plan, context: ApplyContext, containers: Containers): Promise<Effect> {
  const before = readProgress(context.progress);
  const { runId, record, now } = context;
  const stop = await context.stopReason();
  if (stop !== undefined)
    return { kind: "stopped", why: stop, partial: before.askedAt !== undefined };
  const { dryRun } = plan;
  const asking = { ...before, askedAt: before.askedAt ?? now.toISOString() };
  if (!dryRun && before.askedAt === undefined) await record(asking, detailOf(before, runId));
  const answer = await containers.restart(plan.target, { key: runId, dryRun });
  if (answer.kind === "gone") return lost(before, "the container does not exist any more");
  if (dryRun) return { kind: "checked" };
  if (answer.kind === "busy") return waitForRoom(answer.why, before, context);
  if (answer.operation === undefined) return { kind: "done", already: false };
  const { operation } = answer;
  await record({ ...asking, operation }, { operation });
  return { kind: "wait", seconds: LOOK_SECONDS, why: "the hypervisor is at it" };
}

/** It refused this call, so nothing is on its way, unless an earlier call was. */
async function waitForRoom(
  why: string,
  before: Progress,
  { now, record }: ApplyContext,
): Promise<Effect> {
  const isFirst = before.waitingSince === undefined;
  const waitingSince = before.waitingSince ?? now.toISOString();
  const waited = secondsSince(waitingSince, now);
  if (waited > BUSY_SECONDS_MAX)
    return { kind: "refused", reason: "busy", why: `${why} (waited ${Math.round(waited)} s)` };
  await record({ ...before, waitingSince }, isFirst ? { waiting: why } : undefined);
  return { kind: "wait", seconds: BUSY_LOOK_SECONDS, why };
}

/** The first time is news; that it asks again is not. */
function detailOf({ waitingSince }: Progress, idempotencyKey: string): object | undefined {
  if (waitingSince !== undefined) return undefined;
  return { asks: "restart", idempotency_key: idempotencyKey };
}

/** The operation's own end is known sooner, and says more, than a container that does not come back. */
async function follow(
  operation: string,
  { askedAt }: Progress,
  { now }: ApplyContext,
  containers: Containers,
): Promise<Effect> {
  const state = await containers.operation(operation);
  if (state.kind === "failed")
    return { kind: "refused", reason: "operation_failed", why: state.why };
  const patient = secondsSince(askedAt ?? now.toISOString(), now) <= OPERATION_SECONDS_MAX;
  return state.kind === "running" && patient
    ? { kind: "wait", seconds: LOOK_SECONDS, why: "the hypervisor is at it" }
    : { kind: "done", already: false };
}

function secondsSince(at: string, now: Date): number {
  return (now.getTime() - Date.parse(at)) / 1000;
}

function readProgress(progress: ApplyContext["progress"]): Progress {
  const text = (name: keyof Progress) => {
    const value = progress[name];
    return typeof value === "string" ? { [name]: value } : {};
  };
  return { ...text("askedAt"), ...text("operation"), ...text("waitingSince") };
}

function startedAtOf({
  action,
  effect,
}: Plan): Extract<PlanEffect, { kind: "container" }>["startedAt"] {
  if (effect.kind !== "container") throw new Error(`a plan of ${action} holds a ${effect.kind}`);
  return effect.startedAt;
}

function rollbackOf({ namespace, name }: Target): string {
  return [
    "A restart cannot be taken back. If the container does not come up, its log says why:",
    `GET /api/v1/containers/${name}/logs?project=${namespace};`,
    `to go back to a snapshot: POST /api/v1/containers/${name}/snapshots/restore?project=${namespace}`,
  ].join(" ");
}
