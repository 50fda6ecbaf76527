import type { Log } from "./log.ts";

/** Longer than any orderly stop measured. */
const STEP_TIMEOUT_MS = 8_000;
/** For all steps together: Kubernetes kills after 30 s, and what hangs is often the one thing that all steps wait for. */
const STOP_TIMEOUT_MS = 20_000;
/** What a step gets when others have used up all the time: enough where nothing hangs. */
const STEP_TIMEOUT_MIN_MS = 200;
/** After an orderly stop nothing should keep the process; what does so all the same has had its time. */
const EXIT_AFTER_MS = 2_000;

/** What was started is stopped in the reverse order, by name; a step that fails or hangs does not keep the others. */
export class StopStack {
  readonly #steps: { readonly name: string; readonly stop: () => void | Promise<void> }[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(name: string, stop: () => void | Promise<void>): void {
    this.#steps.push({ name, stop });
  }

  /** Idempotent: a step runs once. */
  async stop(): Promise<void> {
    const start = performance.now();
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        const left = Math.max(STEP_TIMEOUT_MIN_MS, start + STOP_TIMEOUT_MS - performance.now());
        await withTimeout(Promise.resolve(step.stop()), Math.min(STEP_TIMEOUT_MS, left));
      } catch (error) {
        this.#log.error("stop step failed", { step: step.name, error });
      }
    }
  }
}

async function withTimeout(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not done after ${Math.round(ms)} ms`));
    }, ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A service that runs: where it listens, if it does, and how to stop it. */
export interface RunningService {
  readonly url?: string;
  stop(): Promise<void>;
}

/**
 * Builds a service step by step. Each step adds what stops it to the stack; when one fails, those before it are stopped
 * again and its error comes through.
 *
 * @param build returns the address that the service listens on
 */
export async function buildService(
  log: Log,
  build: (stack: StopStack) => Promise<string>,
): Promise<RunningService> {
  const stack = new StopStack(log);
  try {
    return { url: await build(stack), stop: async () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/**
 * Runs services until SIGTERM or SIGINT; a second signal ends the process at once.
 *
 * @returns the process's exit code: 0 after a clean stop, 1 when the start failed
 */
export async function runService(log: Log, start: () => Promise<RunningService>): Promise<number> {
  const signal = firstSignal();
  process.on("unhandledRejection", (error) => {
    log.error("unhandled rejection", { error });
    process.exitCode = 1;
    process.kill(process.pid, "SIGTERM"); // an unknown state is left in order, with the jobs' leases given back
  });
  process.on("uncaughtException", (error) => {
    log.error("uncaught exception", { error }); // unlike Node's own words, without secrets
    process.exit(1); // nothing is known of the state: the leases end by themselves
  });
  let running: RunningService;
  try {
    running = await start();
  } catch (error) {
    log.error("start failed", { error });
    return 1;
  }
  log.info("started", { url: running.url });
  log.info("stopping", { signal: await signal });
  await running.stop();
  log.info("stopped");
  const code = Number(process.exitCode ?? 0);
  setTimeout(() => {
    log.warn("something keeps the process: it is ended");
    process.exit(code);
  }, EXIT_AFTER_MS).unref();
  return code;
}

/** Listens from now on, so that a signal during the start is not lost; the second one does not wait for an orderly stop. */
async function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let received = 0;
    const listener = (signal: NodeJS.Signals) => {
      received += 1;
      if (received > 1) process.exit(1);
      resolve(signal);
    };
    process.on("SIGTERM", listener).on("SIGINT", listener);
  });
}
