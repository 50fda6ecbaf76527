import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import { inSpanFrom } from "../lib/tracing.ts";
import { PostError } from "./faults.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Channel, Delivery, DeliveryResult, Mailbox } from "./types/delivery.ts";

/** Backoff 1 s to 5 min with jitter, given up after a day with an alarm. */
const FIRST_DELAY_MS = 1_000;
const LAST_DELAY_MS = 5 * 60_000;
const GIVE_UP_AFTER_MS = 24 * 3_600_000;
/** How soon another replica's or an earlier process's alert is seen; one's own wakes the outbox at once. */
const POLL_MS = 1_000;
/** Alertmanager forgets after `resolve_timeout` (5 min by default) what is not said again. */
const REPEAT_EVERY_MS = 60_000;
const SWEEP_EVERY_MS = 3_600_000;

export interface OutboxDeps {
  readonly channel: Channel;
  /** Looked through in this order. */
  readonly mailboxes: readonly Mailbox[];
  /** What is open now, for a channel that must be told again. */
  readonly openAnomalies: () => readonly Anomaly[];
  readonly metrics: Pick<DetectorMetrics, "delivery">;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Sends the alerts of one channel, each until it is taken, refused for good or a day old; at least once. A channel has an
 * outbox of its own, so that a slow one holds up no other, and an alert that fails lets the next one pass.
 */
export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  /** Sent, but not yet written down because the database did not answer: not to be sent again. */
  readonly #unwritten = new Map<string, DeliveryResult>();
  #nap = new AbortController();
  #running: Promise<void> | undefined;
  #fault: unknown;
  #mailboxDown = false;
  #repeatedAt = -Infinity;
  #sweptAt = -Infinity;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
    this.#log = deps.log.child({ channel: deps.channel.name });
  }

  /** The last failure; undefined once something was taken again. */
  get fault(): unknown {
    return this.#fault;
  }

  /** There may be something to do now. */
  wake(): void {
    this.#nap.abort();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Gives up the attempt that is under way; another process, or the next start, takes it up again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Made before looking: who wakes us while we look is not missed.
      this.#nap = new AbortController();
      await this.#repeat();
      await this.#sweep();
      if (await this.#deliverNext()) continue;
      await this.#deps.clock.sleep(POLL_MS, AbortSignal.any([signal, this.#nap.signal]));
    }
  }

  /** True when there was something to deliver. */
  async #deliverNext(): Promise<boolean> {
    for (const mailbox of this.#deps.mailboxes) {
      const delivery = await this.#take(mailbox);
      if (delivery === undefined) continue;
      const result = this.#unwritten.get(delivery.id) ?? (await this.#attempt(delivery));
      if (this.#stopping.signal.aborted && result instanceof PostError) return false;
      if (result instanceof PostError) await this.#again(mailbox, delivery, result);
      else await this.#settle(mailbox, delivery, result);
      return true;
    }
    return false;
  }

  async #take(mailbox: Mailbox): Promise<Delivery | undefined> {
    try {
      const delivery = await mailbox.take(this.#deps.channel.name);
      this.#mailboxDown = false;
      return delivery;
    } catch (error) {
      if (!this.#mailboxDown) this.#log.warn("waiting alerts cannot be looked up", { error });
      this.#mailboxDown = true;
      return undefined;
    }
  }

  /** A PostError when it should be tried again. */
  async #attempt(delivery: Delivery): Promise<DeliveryResult | PostError> {
    const { anomaly, status, traceparent } = delivery;
    const { channel, metrics } = this.#deps;
    const fields = { anomaly: anomaly.id, status };
    const attributes = {
      "fettle.anomaly": anomaly.id,
      "fettle.status": status,
      "fettle.channel": channel.name,
    };
    try {
      await inSpanFrom(traceparent, "detector post", attributes, async () =>
        channel.post(anomaly, status, this.#stopping.signal),
      );
    } catch (error) {
      const fault =
        error instanceof PostError
          ? error
          : new PostError("unavailable", messageOf(error), { cause: error });
      if (this.#stopping.signal.aborted) return fault;
      if (fault.kind === "refused") {
        this.#fault = undefined;
        this.#log.error("alert refused", { ...fields, error });
        return "refused";
      }
      metrics.delivery(channel.name, "failed");
      if (this.#fault === undefined)
        this.#log.warn("alert not delivered yet", { ...fields, error });
      this.#fault = fault;
      if (delivery.ageMs < GIVE_UP_AFTER_MS) return fault;
      this.#log.error("alert given up after a day", { ...fields, error });
      return "gave_up";
    }
    this.#fault = undefined;
    return "delivered";
  }

  async #again(mailbox: Mailbox, delivery: Delivery, fault: PostError): Promise<void> {
    const delay = Math.min(
      LAST_DELAY_MS,
      FIRST_DELAY_MS * 2 ** Math.min(20, delivery.attempts - 1),
    );
    const jittered = delay * (0.5 + Math.random() / 2);
    try {
      await mailbox.retry(delivery, Math.max(fault.retryAfterMs, jittered), fault.message);
    } catch (error) {
      // Its lease ends by itself, and it is taken again then.
      this.#log.debug("delay of an alert not written", { error });
    }
  }

  async #settle(mailbox: Mailbox, delivery: Delivery, result: DeliveryResult): Promise<void> {
    if (!this.#unwritten.has(delivery.id)) {
      this.#deps.metrics.delivery(this.#deps.channel.name, result);
    }
    try {
      await mailbox.settle(delivery, result);
      this.#unwritten.delete(delivery.id);
    } catch (error) {
      this.#unwritten.set(delivery.id, result);
      this.#log.warn("sent alert not written down yet", { anomaly: delivery.anomaly.id, error });
    }
  }

  /** In the same loop as the deliveries: what is over cannot be said to be open by a request that was under way. */
  async #repeat(): Promise<void> {
    const { channel, openAnomalies, clock } = this.#deps;
    const now = clock.now().getTime();
    if (channel.repeat === undefined || now - this.#repeatedAt < REPEAT_EVERY_MS) return;
    this.#repeatedAt = now;
    const open = openAnomalies();
    if (open.length === 0) return;
    try {
      await channel.repeat(open, this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (this.#fault === undefined) this.#log.warn("open anomalies not said again", { error });
      this.#fault = error;
    }
  }

  async #sweep(): Promise<void> {
    const now = this.#deps.clock.now().getTime();
    if (now - this.#sweptAt < SWEEP_EVERY_MS) return;
    this.#sweptAt = now;
    for (const mailbox of this.#deps.mailboxes) {
      await mailbox.sweep().catch((error: unknown) => {
        this.#log.debug("waiting alerts not swept", { error });
      });
    }
  }
}
