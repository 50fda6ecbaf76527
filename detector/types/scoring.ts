/** The derived streams of the recipe. */
export type BaseStream = "value" | "level" | "shift" | "spread" | "ratio" | "trend";

/** What the normal scores of a series' ranks did lately: means, spreads, and means of their lower and upper half. */
export type RankStream =
  | "rank_mean"
  | "rank_mean_long"
  | "rank_spread"
  | "rank_spread_long"
  | "rank_low"
  | "rank_high"
  | "rank_run";

/** All streams of one series, each watched for novelty: of its values, of what remains of them after the season, of ranks. */
export type StreamName =
  | BaseStream
  | RankStream
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
  /** Whether it is the row of the ranks. */
  readonly ranked: boolean;
  /** The row that the forest saw. */
  readonly row: readonly number[];
  /**
   * The numbers before and at this point, from which a slow change is named: the last 144 ranks if the row is of ranks,
   * else the last 60 residuals if there is a season, else values. Empty while the score is 0.
   */
  readonly course: readonly number[];
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
