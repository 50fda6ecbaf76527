import type { Queryable } from "../../lib/postgres.ts";
import type { Run } from "./run.ts";
import type { Target } from "./target.ts";

/** The diagnostics of a run, as its way goes through them. A slow or dead store never blocks a run. */
export interface CollectorGate {
  /** Orders the collection, in the transaction that moves the run on. False: there is nothing to collect for it. */
  begin(tx: Queryable, run: Run): Promise<boolean>;
  /** Whether everything is gathered, or given up. */
  settled(runId: string): Promise<boolean>;
}

/** One thing that a runbook wants to have collected. */
export type CollectStep =
  /** The target and what belongs to it, as Kubernetes has it; of ConfigMaps the names only, of Secrets nothing. */
  | { readonly step: "objects" | "events" | "rollout_history" }
  | {
      readonly step: "logs";
      /** The last ones of each container. */
      readonly lines: number;
      /** Also those of containers that were restarted. */
      readonly previous: boolean;
      /** Of one container. */
      readonly max_bytes: number;
    }
  | {
      readonly step: "prometheus";
      /** Before and after the beginning of the alert. */
      readonly minutes: number;
      /** PromQL by name; CPU, memory and restarts of the target's pods when empty. */
      readonly queries: Readonly<Record<string, string>>;
    }
  /** Of the hypervisor; the target's container when none is named. */
  | {
      readonly step: "container_logs";
      readonly lines: number;
      readonly container?: string | undefined;
    };

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** What belongs to a target, as the API shows it. */
export interface TargetObjects {
  readonly workload: Json;
  readonly pods: readonly Json[];
  /** ReplicaSets or ControllerRevisions. */
  readonly revisions: readonly Json[];
  readonly others: readonly Json[];
  /** What could not be had, in words. */
  readonly problems: readonly string[];
}

interface LogRequest {
  readonly pod: string;
  readonly container: string;
  /** Of the container before the last restart. */
  readonly previous: boolean;
  readonly lines: number;
  readonly bytesMax: number;
}

/** The cluster, as far as diagnostics need it. Reads only. */
export interface Diagnostics {
  objects(target: Target): Promise<TargetObjects>;
  /** Those of the namespace whose object has one of these names. */
  events(target: Target, names: ReadonlySet<string>): Promise<readonly Json[]>;
  log(target: Target, request: LogRequest): Promise<string>;
}

/** A series over time: seconds since 1970, and a value that may be NaN. */
export interface RangeSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

interface RangeRequest {
  readonly query: string;
  readonly from: Date;
  readonly to: Date;
  readonly stepSeconds: number;
}

/** Prometheus, as far as diagnostics need it. */
export interface MetricRanges {
  range(request: RangeRequest, signal: AbortSignal): Promise<readonly RangeSeries[]>;
}

/** A container of the hypervisor; of its default project when no namespace is told. */
interface ContainerName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** The hypervisor, as far as diagnostics need it. */
export interface ContainerLogs {
  logs(container: ContainerName, lines: number, signal: AbortSignal): Promise<string>;
}

/** What is in a bundle: its file index.json. */
export interface CollectionIndex {
  readonly version: 1;
  readonly run: string;
  readonly runbook: string;
  readonly target: string;
  readonly gathered_at: string;
  /** True when the files were cut to what the database keeps. */
  readonly cut: boolean;
  readonly steps: readonly StepReport[];
  readonly files: readonly FileReport[];
}

export interface StepReport {
  readonly step: CollectStep["step"];
  readonly milliseconds: number;
  readonly files: number;
  /** What it could not do. */
  readonly problems: readonly string[];
}

interface FileReport {
  readonly name: string;
  readonly step: CollectStep["step"] | "alert";
  readonly bytes: number;
  readonly sha256: string;
  /** True when it was longer. */
  readonly cut: boolean;
}

/** The diagnostics of a run as people are told of them. */
export interface Collection {
  /** waiting: not gathered yet. pending: gathered, and not in the store yet. kept: in the database. stored: in the store. */
  readonly state: "waiting" | "pending" | "kept" | "stored" | "failed";
  readonly bytes: number | undefined;
  readonly sha256: string | undefined;
  readonly location: string | undefined;
  /** Whoever has it may read the bundle; undefined when there is none, or its time has passed. */
  readonly link: string | undefined;
  readonly index: CollectionIndex | undefined;
  readonly problem: string | undefined;
}
