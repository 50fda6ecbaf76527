import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { currentTraceparent, inSpanFrom } from "../lib/tracing.ts";
import { frameOf } from "./alert.ts";
import { PostError } from "./faults.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { AlertPoster, AlertStatus, Anomaly, Delivery } from "./types.ts";

/** Alerts in memory at most; what falls out is found again at the next start, by its row. */
const WAITING_MAX = 1_000;
const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 60_000;

export interface OutboxDeps {
  readonly poster: AlertPoster;
  readonly metrics: Pick<DetectorMetrics, "delivery">;
  readonly log: Log;
  readonly clock: Clock;
  readonly onDelivered: (id: string, status: AlertStatus, at: Date) => Promise<void>;
}

/** Alerts on their way to the webhook, in order, each tried until it is taken or refused for good. At least once. */
export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #waiting: Delivery[] = [];
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #fault: unknown;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
  }

  /** The last failure of the alert that is being tried; undefined when nothing is stuck. */
  get fault(): unknown {
    return this.#fault;
  }

  add(anomaly: Anomaly, status: AlertStatus): void {
    this.#waiting.push({ anomaly, status, traceparent: currentTraceparent() });
    if (this.#waiting.length > WAITING_MAX) {
      const [lost] = this.#waiting.splice(0, 1);
      this.#deps.metrics.delivery("dropped");
      this.#deps.log.error("alert dropped, the webhook is too far behind", {
        anomaly: lost?.anomaly.id,
      });
    }
    this.#wake();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Gives up the attempt that is under way; what was not delivered is found again by its row. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let delayMs = FIRST_DELAY_MS;
    while (!signal.aborted) {
      const next = this.#waiting[0];
      if (next === undefined) {
        await this.#somethingToDo();
      } else if (await this.#deliver(next)) {
        if (this.#waiting[0] === next) this.#waiting.shift();
        delayMs = FIRST_DELAY_MS;
      } else {
        await this.#deps.clock.sleep(delayMs * (0.5 + Math.random() / 2), signal);
        delayMs = Math.min(LAST_DELAY_MS, delayMs * 2);
      }
    }
  }

  async #somethingToDo(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#waiting.length > 0 || this.#stopping.signal.aborted) resolve();
    });
  }

  /** True when the alert is done with: taken, or refused for good. */
  async #deliver({ anomaly, status, traceparent }: Delivery): Promise<boolean> {
    const { poster, metrics, log, clock, onDelivered } = this.#deps;
    const attributes = { "fettle.anomaly": anomaly.id, "fettle.status": status };
    try {
      await inSpanFrom(traceparent, "detector post", attributes, async () =>
        poster.post(frameOf(anomaly, status), this.#stopping.signal),
      );
    } catch (error) {
      if (this.#stopping.signal.aborted) return false;
      const refused = error instanceof PostError && error.kind === "refused";
      metrics.delivery(refused ? "refused" : "failed");
      if (refused) log.error("alert refused", { anomaly: anomaly.id, status, error });
      else if (this.#fault === undefined) log.warn("alert not delivered yet", { error });
      this.#fault = refused ? undefined : error;
      return refused;
    }
    this.#fault = undefined;
    metrics.delivery("delivered");
    await onDelivered(anomaly.id, status, clock.now());
    return true;
  }
}
