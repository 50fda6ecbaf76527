/** How a line is found by its level: whichever way programs write it. */
export const LEVEL_WORDS = {
  DEBUG: ["debug", "dbg"],
  INFO: ["info", "information"],
  WARN: ["warn", "warning"],
  ERROR: ["error", "err"],
} as const;
export type Level = keyof typeof LEVEL_WORDS;

export interface LogFilter {
  readonly level?: Level | undefined;
  /** Lines that have this text in them, letter by letter. */
  readonly search?: string | undefined;
}

export interface LogLine {
  /** Nanoseconds since 1970. */
  readonly at: bigint;
  readonly text: string;
  /** Of its stream. Lines of one stream share one object. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface LogRange extends LogFilter {
  readonly service: string;
  readonly from: bigint;
  /** The first nanosecond that is not meant. */
  readonly to: bigint;
  readonly limit: number;
  /** From which end the lines are taken, and so their order. */
  readonly direction: "forward" | "backward";
}

/** Where logs are kept. @throws HttpProblem 400 (with what it says), 502, 503, 504 */
export interface LogStore {
  /** Names, sorted. */
  services(signal?: AbortSignal): Promise<readonly string[]>;
  read(range: LogRange, signal?: AbortSignal): Promise<readonly LogLine[]>;
}
