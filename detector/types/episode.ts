import type { Band, PointScore, StreamName } from "./scoring.ts";

/** Why a point is strange; the words of the contract. */
export type Reason =
  "level_shift" | "volatility_spike" | "trend_break" | "percent_change" | "drop_to_zero" | "absent";

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
