import type { CloseCause, Direction, OpenEpisode, Reason } from "./episode.ts";
import type { ZScore } from "./scoring.ts";
import type { Labels } from "./source.ts";

/**
 * Why an anomaly is told. Whether the target of a vanished series is down is asked when it is published, so the scorer
 * does not know `stale_scrape`.
 */
export type AnomalyReason = Reason | "stale_scrape";

/** `warning` is worth a look, `critical` is worth waking somebody. */
export type Severity = "warning" | "critical";

/** An episode as people, the database and the webhook see it. Its labels are frozen when it is published. */
export interface Anomaly {
  readonly id: string;
  readonly metric: string;
  readonly expr: string;
  readonly series: string;
  readonly labels: Labels;
  readonly namespace: string;
  readonly app: string;
  readonly reason: AnomalyReason;
  readonly direction: Direction;
  /** Decided when it is published, then frozen with the other labels. */
  readonly severity: Severity;
  readonly openedAt: number;
  readonly lastSeenAt: number;
  readonly closedAt: number | undefined;
  readonly closeCause: CloseCause | undefined;
  /** The score that opened it; `value` is the newest value. */
  readonly score: number;
  readonly value: number;
  readonly baseline: number;
  readonly delta: number;
  readonly percentChange: number | undefined;
  readonly zscores: readonly ZScore[];
  readonly sparkline: string;
  readonly modelSha256: string | undefined;
  /** Time between points in milliseconds, and the first point that the scorer had seen; undefined in old rows. */
  readonly step: number | undefined;
  readonly historyFrom: number | undefined;
  /** All that is needed to go on after a restart, and to recompute the explanation. */
  readonly evidence: OpenEpisode;
  /** What the scorer knew before the opening: only of an old series, and only in the record that is published. */
  readonly memory?: Uint8Array | undefined;
}

/** A place in the list of anomalies: the last one that was shown. */
export interface AnomalyCursor {
  readonly openedAt: number;
  readonly id: string;
}

/** Which anomalies are wanted; the newest come first, those of one moment in the order of their ids. */
export interface AnomalyFilter {
  readonly limit: number;
  readonly state?: "open" | "closed" | undefined;
  readonly metric?: string | undefined;
  /** Only what comes after it in the list. */
  readonly after?: AnomalyCursor | undefined;
}

/** Where the pages and the API look anomalies up. */
export interface AnomalyArchive {
  list(filter: AnomalyFilter): Promise<readonly Anomaly[]>;
  find(id: string): Promise<Anomaly | undefined>;
  /** What the scorer knew before the opening, where it was kept. */
  memoryOf(id: string): Promise<Uint8Array | undefined>;
}
