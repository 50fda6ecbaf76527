import type { LabelName } from "./labels.ts";

/** Which series a mask is about: one, all of a metric, or all that speak about a workload. */
type MaskScope =
  | { readonly metric: string; readonly series?: string }
  | { readonly namespace: string; readonly app: string };

/** A period that training leaves out. */
export type Mask = MaskScope & {
  /** Milliseconds since 1970, both ends included; `to` is Infinity while it lasts. */
  readonly from: number;
  readonly to: number;
  /** An anomaly's newest label (or `unlabelled`), another sender's alert, a runbook's action, or a file of masks. */
  readonly cause: "unlabelled" | LabelName | "alert" | "runbook" | "file";
};

/** What alerts and runbooks did to workloads. Rejects when the database does not answer. */
export interface RunbookRecord {
  masks(range: { readonly from: Date; readonly to: Date }): Promise<readonly Mask[]>;
}

/** What came of a replica's turn to train. */
export type Turn<T> =
  | { readonly kind: "done"; readonly result: T }
  /** Another replica trains, or has trained for this time. */
  | { readonly kind: "taken" };

/** Lets one of all replicas train. */
export interface TrainingTurns {
  /** Does the work if nobody else does, or has done, for the due time. Errors of the work come through. */
  take<T>(due: Date, work: () => Promise<T>): Promise<Turn<T>>;
  /** Forgets at once what was taken; to be called when no work is under way. */
  close(): Promise<void>;
}
