/** What a person may say about an anomaly. */
export type LabelName = "false_positive" | "real" | "expected_change";

/** Somebody's word about an anomaly. Append-only: the newest of a person counts. */
export interface AnomalyLabel {
  readonly label: LabelName;
  readonly by: string;
  readonly note: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A period of a series that training leaves out. */
export interface TrainingMask {
  readonly metric: string;
  readonly series: string;
  /** Milliseconds since 1970, both ends included; `to` is Infinity while the anomaly is open. */
  readonly from: number;
  readonly to: number;
  /** The newest label, or `unlabelled`. */
  readonly cause: "unlabelled" | LabelName;
}

/** An anomaly about which somebody said something. Times in milliseconds since 1970. */
export interface LabelledAnomaly {
  readonly id: string;
  readonly metric: string;
  readonly series: string;
  readonly openedAt: number;
  /** Undefined while it is open. */
  readonly closedAt: number | undefined;
  /** The newest. */
  readonly label: LabelName;
}

/** What people said. Every method rejects when the database does not answer. */
export interface LabelBook {
  /** "unknown_anomaly" when there is none with this id. */
  add(
    anomalyId: string,
    label: Omit<AnomalyLabel, "at">,
  ): Promise<AnomalyLabel | "unknown_anomaly">;
  list(anomalyId: string): Promise<readonly AnomalyLabel[]>;
  masks(range: { readonly from: Date; readonly to: Date }): Promise<readonly TrainingMask[]>;
  /** What opened in the time and was labelled; the newest ten thousand. */
  labelled(range: { readonly from: Date; readonly to: Date }): Promise<readonly LabelledAnomaly[]>;
}
