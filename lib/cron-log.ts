import type { Log } from "./log.ts";

interface CronLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string | Error): void;
  debug(message: string | Error): void;
}

/** Where node-cron says what it has to say, by default on the console: that it is late, or missed a time. */
export function cronLog(log: Log): CronLog {
  const pass = (message: string | Error): void => {
    log.warn("schedule", { detail: String(message) });
  };
  return { info: pass, warn: pass, error: pass, debug: () => undefined };
}
