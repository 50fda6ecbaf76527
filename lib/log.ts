import { pino, type Logger } from "pino";
import { correlationId } from "./correlation.ts";
import { createRedactor } from "./redact.ts";
import type { Secret } from "./secret.ts";
import { currentTraceIds } from "./tracing.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A log line is a constant message plus fields; the level says who must act: error = a human, now; warn = it healed itself. */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  child(fields: Fields): Log;
}

export interface LogOptions {
  readonly service: string;
  readonly level?: "debug" | "info" | "warn" | "error" | "silent";
  /** Values that must never appear, wherever they stand in a line. */
  readonly secrets?: readonly Secret[];
  /** A file that gets every line as well (`LOG_FILE`). */
  readonly file?: string | undefined;
  /** False for a command that speaks to a person on stdout by itself. */
  readonly stdout?: boolean;
}

/** JSON lines in UTC on stdout, each with the correlation and trace id of its request or run, secrets removed. */
export function createLogger({
  service,
  level = "info",
  secrets = [],
  file,
  stdout = true,
}: LogOptions): Log {
  const redact = createRedactor(secrets);
  const outputs = [
    ...(stdout ? [{ level, stream: redactingStream(pino.destination(1), redact) }] : []),
    ...(file === undefined
      ? []
      : [
          { level, stream: redactingStream(pino.destination({ dest: file, mode: 0o600 }), redact) },
        ]),
  ];
  const logger = pino(
    {
      level,
      base: { service },
      messageKey: "message",
      errorKey: "error",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.errWithCause },
      mixin: () => ({ correlation_id: correlationId(), ...currentTraceIds() }),
    },
    level === "silent"
      ? { write: () => undefined }
      : pino.multistream(outputs as pino.StreamEntry[]),
  );
  return wrap(logger);
}

function redactingStream(
  target: { write(line: string): unknown },
  redact: (text: string) => string,
) {
  return { write: (line: string) => target.write(redact(line)) };
}

function wrap(logger: Logger): Log {
  return {
    debug: (message, fields = {}) => {
      logger.debug(fields, message);
    },
    info: (message, fields = {}) => {
      logger.info(fields, message);
    },
    warn: (message, fields = {}) => {
      logger.warn(fields, message);
    },
    error: (message, fields = {}) => {
      logger.error(fields, message);
    },
    child: (fields) => wrap(logger.child(fields)),
  };
}

/** For tests and one-shot commands that speak to a person by themselves. */
export const silentLog: Log = createLogger({ service: "silent", level: "silent" });
