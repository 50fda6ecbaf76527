import type { ContainerLogs, Diagnostics, MetricRanges, TargetObjects } from "../types/collect.ts";
import type { Run } from "../types/run.ts";
import type { Target } from "../types/target.ts";
import type { TextFile } from "./files.ts";
import type { DiagnosticsRedactor } from "./redact.ts";

/** Whom the steps ask. */
export interface StepPorts {
  readonly diagnostics: Diagnostics;
  /** Undefined when no Prometheus is configured. */
  readonly metrics: MetricRanges | undefined;
  /** Undefined when no hypervisor is configured. */
  readonly containers: ContainerLogs | undefined;
}

export interface StepContext {
  readonly run: Run;
  readonly target: Target;
  readonly redact: DiagnosticsRedactor;
  /** What belongs to the target. @throws Error when it could not be had */
  readonly objects: () => TargetObjects;
  readonly signal: AbortSignal;
}

/** What a step brings. What comes after its time is dropped. */
export interface Basket {
  /** Of text that was redacted. */
  readonly keep: (file: TextFile) => void;
  readonly note: (problem: string) => void;
}
