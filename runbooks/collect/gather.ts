import { performance } from "node:perf_hooks";
import { messageOf } from "../../lib/error.ts";
import type { Secret } from "../../lib/secret.ts";
import type { CollectStep, StepReport, TargetObjects } from "../types/collect.ts";
import type { Run } from "../types/run.ts";
import { parseTargetKey } from "../types/target.ts";
import { cutText, type CollectedFile, type TextFile } from "./files.ts";
import { diagnosticsRedactor } from "./redact.ts";
import type { StepContext, StepPorts } from "./step.ts";
import { stepFunctions } from "./steps.ts";

/** Of one step, and of all together: people wait for the run. */
const STEP_MS = 10_000;
const ALL_MS = 18_000;
/** Of the files of one step. */
const STEP_BYTES: Readonly<Record<CollectStep["step"], number>> = {
  objects: 2 * 1024 * 1024,
  events: 1024 * 1024,
  logs: 6 * 1024 * 1024,
  rollout_history: 1024 * 1024,
  prometheus: 2 * 1024 * 1024,
  container_logs: 1024 * 1024,
};

export interface GatherDeps extends StepPorts {
  /** Values that must not get out. */
  readonly secrets: readonly Secret[];
  readonly stepMs?: number;
}

interface Harvest {
  readonly reports: readonly StepReport[];
  readonly files: readonly CollectedFile[];
}

/**
 * Does all steps at once, each within its own limits. A step that fails leaves a note in its report; nothing of what it
 * brought leaves here with a secret in it. Never rejects.
 */
export async function gather(
  run: Run,
  steps: readonly CollectStep[],
  deps: GatherDeps,
  signal: AbortSignal,
): Promise<Harvest> {
  const all = AbortSignal.any([signal, AbortSignal.timeout(ALL_MS)]);
  const context = await contextOf(run, deps, all);
  const alert = alertFile(run, context);
  const done = await Promise.all(steps.map(async (step) => doStep(step, context, deps)));
  return {
    reports: done.map(({ report }) => report),
    files: [alert, ...done.flatMap(({ files }) => files)],
  };
}

/** Reads the objects first: what they hold in their environment may stand in every log. */
async function contextOf(
  run: Run,
  { diagnostics, secrets, stepMs = STEP_MS }: GatherDeps,
  signal: AbortSignal,
): Promise<StepContext> {
  const target = parseTargetKey(run.targetKey, run.app);
  let objects: TargetObjects | undefined;
  let problem = "there is no workload in Kubernetes behind it";
  if (target.kind !== "container") {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(stepMs)]);
    try {
      objects = await within(limit, diagnostics.objects(target));
    } catch (error) {
      problem = messageOf(error);
    }
  }
  const { workload, pods = [], revisions = [], others = [] } = objects ?? {};
  const seen = [workload ?? {}, ...pods, ...revisions, ...others];
  return {
    run,
    target,
    redact: diagnosticsRedactor(secrets, seen),
    objects: () => {
      if (objects === undefined) throw new Error(problem);
      return objects;
    },
    signal,
  };
}

function alertFile({ trigger, sources, runbook }: Run, { redact }: StepContext): CollectedFile {
  const text = `${JSON.stringify(redact.object({ runbook, sources, ...trigger }), null, 2)}\n`;
  return { name: "alert.json", step: "alert", content: Buffer.from(text), cut: false, tail: false };
}

async function doStep(
  step: CollectStep,
  context: StepContext,
  deps: GatherDeps,
): Promise<{ readonly report: StepReport; readonly files: readonly CollectedFile[] }> {
  const started = performance.now();
  const problems: string[] = [];
  const found: TextFile[] = [];
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(deps.stepMs ?? STEP_MS)]);
  const keep = (file: TextFile) => {
    if (!signal.aborted) found.push(file);
  };
  const note = (problem: string) => {
    if (!signal.aborted) problems.push(problem);
  };
  try {
    const work = stepFunctions[step.step](step as never, { ...context, signal }, deps, {
      keep,
      note,
    });
    await within(signal, work);
  } catch (error) {
    problems.push(signal.aborted ? "it took too long" : messageOf(error));
  }
  const files = withinBytes(step.step, found);
  const report = {
    step: step.step,
    milliseconds: Math.round(performance.now() - started),
    files: files.length,
    problems: problems.map((problem) => context.redact.text(problem)),
  };
  return { report, files };
}

/** What was brought first is kept whole; of the file that does not fit any more a part, and of the rest a line. */
function withinBytes(
  step: CollectStep["step"],
  files: readonly TextFile[],
): readonly CollectedFile[] {
  let left = STEP_BYTES[step];
  return files.map(({ name, text, tail = false }) => {
    const whole = Buffer.from(text);
    const content = cutText(whole, { bytesMax: Math.max(left, 0), tail });
    left -= content.length;
    return { name, step, content, cut: content.length < whole.length, tail };
  });
}

/** The rest of `work` is not waited for; its failure is nobody's business any more. */
async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(new Error("it took too long"));
    };
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", abort);
    });
  });
}
