import type { Log } from "../../lib/log.ts";

export interface RecordingLog extends Log {
  /** Every line, at every level, as one text. */
  readonly text: () => string;
}

/** A log that remembers what it was told, unredacted: what must not reach it is looked for here. */
export function recordingLog(): RecordingLog {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const shown = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
      lines.push([level, message, ...shown].join(" "));
    };
  const log: RecordingLog = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: () => log,
    text: () => lines.join("\n"),
  };
  return log;
}
