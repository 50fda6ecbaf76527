import type { Anomaly, AnomalyFilter } from "./anomaly.ts";
import type { Delivery, DeliveryResult, Mailing } from "./delivery.ts";
import type { MetricQuery } from "./source.ts";

/** How far a metric was evaluated before, and which of its episodes are open. */
export interface Resume {
  readonly evaluatedUntil: number | undefined;
  readonly open: readonly Anomaly[];
}

/** A model as the database keeps it. */
export interface StoredModel {
  readonly sha256: string;
  readonly schemaVersion: number;
  readonly seed: number;
  readonly trainedAt: Date;
  readonly trees: Uint8Array;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** What of an open episode changes from cycle to cycle. */
export interface Sighting {
  readonly id: string;
  readonly lastSeenAt: number;
}

export interface Progress extends MetricQuery {
  readonly evaluatedUntil: number;
}

/** One scored point, as training reads it. */
export interface FeatureRow {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly metric: string;
  readonly series: string;
  readonly value: number;
  /** The row that the forest saw. */
  readonly features: readonly number[];
  readonly score: number;
}

/** Where scored points are kept. Every method rejects when the database does not answer. */
export interface FeatureTable {
  write(rows: readonly FeatureRow[]): Promise<void>;
  /** Removes whole UTC days before the given one. @returns how many */
  dropBefore(day: Date): Promise<number>;
}

/** What survives a restart. Every method rejects when the database does not answer. */
export interface AnomalyStore {
  resume(metric: MetricQuery): Promise<Resume>;
  /** "already_open" when another process (or this one, before) has an open episode of the series. */
  open(anomaly: Anomaly, mailing: Mailing): Promise<"opened" | "already_open">;
  /** Closes whatever episode of the series is open; "unknown" when this one was never written. */
  close(anomaly: Anomaly, mailing: Mailing): Promise<"closed" | "unknown">;
  /** What a sender that had it in memory has done. */
  settle(delivery: Delivery, result: DeliveryResult): Promise<void>;
  saveProgress(progress: readonly Progress[], sightings: readonly Sighting[]): Promise<void>;
  list(filter: AnomalyFilter): Promise<readonly Anomaly[]>;
  find(id: string): Promise<Anomaly | undefined>;
  memoryOf(id: string): Promise<Uint8Array | undefined>;
  model(sha256: string): Promise<StoredModel | undefined>;
  newestModel(): Promise<StoredModel | undefined>;
  saveModel(model: StoredModel): Promise<void>;
}
