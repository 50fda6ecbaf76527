import type { Secret } from "../lib/secret.ts";

/** The derived streams of the recipe. */
export type BaseStream = "value" | "level" | "shift" | "spread" | "ratio" | "trend";

/** All streams of one series, each watched for novelty: of its values, and of what remains of them after the season. */
export type StreamName =
  | BaseStream
  | "residual"
  | "residual_level"
  | "residual_shift"
  | "residual_spread"
  | "residual_trend";

/** One number per stream; undefined while the stream has not seen enough points. */
type StreamValues = Readonly<Record<StreamName, number | undefined>>;

/** Robust z of a value against the values before it. */
export interface ZScore {
  /** The window's length in points; also the label `window`. */
  readonly window: number;
  readonly z: number;
  readonly median: number;
  readonly scale: number;
  /** Values in the window at that time. */
  readonly n: number;
}

/** One evaluated sample of a series. */
export interface Point {
  /** Milliseconds since 1970. */
  readonly t: number;
  readonly value: number;
}

/** An interval outside which a stream is not expected, frozen when an episode opens. */
export interface Band {
  readonly low: number;
  readonly high: number;
}

/** The expected interval of each stream; undefined while the stream has no past. */
type Bands = Readonly<Record<StreamName, Band | undefined>>;

/** What the scorer says about one point; everything is measured against the points before it. */
export interface PointScore extends Point {
  /** Points of the series so far, this one included. */
  readonly n: number;
  /** The published score, 0..1. */
  readonly score: number;
  /** Whether the row says what is new at all, or what is new against the settled past: a slow change. */
  readonly novelty: "fresh" | "lasting";
  /** The row that the forest saw. */
  readonly row: readonly number[];
  /** What each stream said, 1 = saturated, not clipped. */
  readonly weights: Readonly<Record<StreamName, number>>;
  readonly streams: StreamValues;
  readonly bands: Bands;
  readonly zscores: readonly ZScore[];
  /** Median of the last 288 values, and the value's distance from it. */
  readonly baseline: number;
  readonly delta: number;
  readonly percentChange: number | undefined;
  /** What the same time of earlier days says; undefined while they are few, or not alike. */
  readonly seasonal: number | undefined;
  /**
   * Where the series was to be expected: the mean of the last 12 values (moved along with the season, where there is
   * one), and its usual spread over 48 around that.
   */
  readonly local: { readonly centre: number; readonly noise: number };
}

/** Why a point is strange; the words of the contract. */
export type Reason =
  "level_shift" | "volatility_spike" | "trend_break" | "percent_change" | "drop_to_zero" | "absent";

/**
 * Why an anomaly is told. Whether the target of a vanished series is down is asked when it is published, so the scorer
 * does not know `stale_scrape`.
 */
export type AnomalyReason = Reason | "stale_scrape";

/** `warning` is worth a look, `critical` is worth waking somebody. */
export type Severity = "warning" | "critical";

export type Direction = "up" | "down";

/** The thresholds that decide between reasons (AIOPS_Z_THRESH, AIOPS_VOL_MULT, AIOPS_PCT_THRESH). */
export interface NamingRules {
  readonly zThreshold: number;
  readonly volatilityMultiple: number;
  readonly percentThreshold: number;
}

/** A name for what happened. Until it is final, later points may still change it. */
export interface Naming {
  readonly reason: Reason;
  readonly direction: Direction;
  readonly final: boolean;
  /** True for a lone point whose change is below the percent threshold: recorded by nobody, never published. */
  readonly minor: boolean;
}

/** The stream by which an open episode is followed, and the band that it must return to; frozen at the opening. */
export interface Watch {
  readonly stream: StreamName;
  readonly band: Band;
}

/** Limits of the episode state machine, with the thresholds that name reasons. */
export interface EpisodeRules extends NamingRules {
  /** Published score from which an episode opens. */
  readonly threshold: number;
  /** A series of at most `youngPoints` must also be this far (in saturated features) from all it has shown. */
  readonly youngWeight: number;
  readonly youngPoints: number;
  /** No episode opens among a series' first points: everything is new then. */
  readonly warmupPoints: number;
  readonly holdPoints: number;
  readonly holdMargin: number;
  /** Points inside the band, in a row, after which an incident is over. */
  readonly recoveryPoints: number;
  /** Points after which a state that lasts is the new normal. */
  readonly newNormalPoints: number;
  /** Steps without the series, in a row, after which it is absent. */
  readonly absentPoints: number;
}

/** The last score that counted, and the points since. */
export interface Hold {
  readonly score: number;
  readonly age: number;
}

export interface OpenEpisode {
  readonly kind: "open";
  /** The point that opened it, with all that was expected then. */
  readonly opening: PointScore;
  readonly openedAt: number;
  /** The last point outside the band. */
  readonly lastSeenAt: number;
  /** The first values, from which the reason is named. */
  readonly values: readonly number[];
  readonly naming: Naming;
  readonly published: boolean;
  readonly watch: Watch;
  readonly points: number;
  readonly inside: number;
  readonly peak: number;
}

export type Episode = { readonly kind: "quiet"; readonly hold: Hold } | OpenEpisode;

export type CloseCause = "recovered" | "new_normal_accepted" | "absent";

export type EpisodeEvent =
  | { readonly kind: "published"; readonly episode: OpenEpisode }
  | { readonly kind: "closed"; readonly episode: OpenEpisode; readonly cause: CloseCause };

/** One configured question: its name is the label `metric`, its PromQL may answer with many series. */
export interface MetricQuery {
  readonly name: string;
  readonly expr: string;
}

export type Labels = Readonly<Record<string, string>>;

/** One series of an answer. Points are in time order, at the asked steps; steps without a sample are missing. */
export interface SeriesSamples {
  readonly labels: Labels;
  readonly points: readonly Point[];
}

/** Evaluation times, both ends included, in milliseconds; `from` and `to` are whole multiples of `step`. */
export interface StepRange {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** How to reach Prometheus, and as whom; at most one of `token` and `basic` is set. */
export interface PrometheusAccess {
  readonly url: string;
  readonly token?: Secret | undefined;
  readonly basic?: { readonly user: string; readonly password: Secret } | undefined;
  /** Sent as `X-Scope-OrgID` (Mimir, Cortex). */
  readonly tenant?: string | undefined;
  /** PEM texts; without `ca` the system's authorities are trusted. */
  readonly tls?:
    | {
        readonly ca: string | undefined;
        readonly cert: string | undefined;
        readonly key: Secret | undefined;
      }
    | undefined;
}

/** Where samples come from. Rejects with a QueryError: no answer is never "no data". */
export interface MetricSource {
  query(expr: string, range: StepRange, signal?: AbortSignal): Promise<readonly SeriesSamples[]>;
}

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
}

export type AlertStatus = "firing" | "resolved";

/** Alertmanager's webhook frame, version 4, with one alert. */
export interface DetectorFrame {
  readonly version: "4";
  readonly receiver: "fettle-detector";
  readonly status: AlertStatus;
  readonly groupKey: string;
  readonly truncatedAlerts: 0;
  readonly groupLabels: Labels;
  readonly commonLabels: Labels;
  readonly commonAnnotations: Labels;
  readonly externalURL: string;
  readonly alerts: readonly [DetectorAlert];
}

interface DetectorAlert {
  readonly status: AlertStatus;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL: string;
  readonly fingerprint: string;
}

/** Who can be told. */
export type ChannelName = "runbooks" | "alertmanager" | "slack" | "discord" | "pagerduty";

/** One receiver of alerts. Both methods reject with a PostError. */
export interface Channel {
  readonly name: ChannelName;
  post(anomaly: Anomaly, status: AlertStatus, signal: AbortSignal): Promise<void>;
  /** Says again what is open, where it would be forgotten otherwise. */
  readonly repeat?: (open: readonly Anomaly[], signal: AbortSignal) => Promise<void>;
}

/** One alert on its way to one channel, taken by this process for a while. */
export interface Delivery {
  readonly id: string;
  readonly channel: ChannelName;
  readonly anomaly: Anomaly;
  readonly status: AlertStatus;
  /** The trace of the cycle that found it. */
  readonly traceparent: string | undefined;
  /** This one included. */
  readonly attempts: number;
  readonly ageMs: number;
}

/** How a delivery ended. `refused`: the receiver will never take it; `gave_up`: nobody took it for a day. */
export type DeliveryResult = "delivered" | "refused" | "gave_up";

/** Where alerts wait for their channel. */
export interface Mailbox {
  /** The next one that is due; nobody else takes it for half a minute. An anomaly's end waits for its beginning. */
  take(channel: ChannelName): Promise<Delivery | undefined>;
  retry(delivery: Delivery, afterMs: number, error: string): Promise<void>;
  settle(delivery: Delivery, result: DeliveryResult): Promise<void>;
  /** Gives up what nobody asks for, and forgets what is long over. */
  sweep(): Promise<void>;
}

/** How the news of an episode is put into the mailbox together with its row. */
export interface Mailing {
  readonly traceparent: string | undefined;
  /** How long another sender, who has it in memory, goes first. */
  readonly headStartMs: number;
}

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

/** Which anomalies are wanted; the newest come first. */
export interface AnomalyFilter {
  readonly limit: number;
  readonly state?: "open" | "closed" | undefined;
  readonly metric?: string | undefined;
}

/** Where the pages and the API look anomalies up. */
export interface AnomalyArchive {
  list(filter: AnomalyFilter): Promise<readonly Anomaly[]>;
  find(id: string): Promise<Anomaly | undefined>;
}

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

/** What people said. Every method rejects when the database does not answer. */
export interface LabelBook {
  /** "unknown_anomaly" when there is none with this id. */
  add(
    anomalyId: string,
    label: Omit<AnomalyLabel, "at">,
  ): Promise<AnomalyLabel | "unknown_anomaly">;
  list(anomalyId: string): Promise<readonly AnomalyLabel[]>;
  masks(range: { readonly from: Date; readonly to: Date }): Promise<readonly TrainingMask[]>;
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
  model(sha256: string): Promise<StoredModel | undefined>;
  newestModel(): Promise<StoredModel | undefined>;
  saveModel(model: StoredModel): Promise<void>;
}
