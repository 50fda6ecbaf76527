import { currentTraceparent } from "../lib/tracing.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type {
  AlertStatus,
  ChannelName,
  Delivery,
  DeliveryResult,
  Mailbox,
} from "./types/delivery.ts";

/** Alerts of one channel in memory at most. */
const WAITING_MAX = 1_000;

export interface MemoryMailboxDeps {
  readonly onDropped: (delivery: Delivery) => void;
  readonly onSettled: (delivery: Delivery, result: DeliveryResult) => Promise<void>;
  /** Milliseconds; only differences count. */
  readonly now: () => number;
}

interface Letter {
  readonly delivery: Delivery;
  readonly bornAt: number;
  attempts: number;
  nextAt: number;
}

/** Alerts that no database holds: without one, or while it does not answer. They are lost with the process. */
export class MemoryMailbox implements Mailbox {
  readonly #deps: MemoryMailboxDeps;
  readonly #letters = new Map<ChannelName, Letter[]>();
  #sequence = 0;

  constructor(deps: MemoryMailboxDeps) {
    this.#deps = deps;
  }

  add(channel: ChannelName, anomaly: Anomaly, status: AlertStatus): void {
    const letters = this.#letters.get(channel) ?? [];
    this.#letters.set(channel, letters);
    const now = this.#deps.now();
    const delivery = {
      ...{ id: `memory-${(this.#sequence += 1)}`, channel, anomaly, status },
      ...{ traceparent: currentTraceparent(), attempts: 0, ageMs: 0 },
    };
    letters.push({ delivery, bornAt: now, attempts: 0, nextAt: now });
    if (letters.length <= WAITING_MAX) return;
    const [lost] = letters.splice(0, 1);
    if (lost !== undefined) this.#deps.onDropped(lost.delivery);
  }

  take(channel: ChannelName): Promise<Delivery | undefined> {
    const now = this.#deps.now();
    const waiting = new Set<string>();
    for (const letter of this.#letters.get(channel) ?? []) {
      const { id } = letter.delivery.anomaly;
      if (letter.nextAt <= now && !waiting.has(id)) {
        letter.attempts += 1;
        const ageMs = now - letter.bornAt;
        return Promise.resolve({ ...letter.delivery, attempts: letter.attempts, ageMs });
      }
      waiting.add(id);
    }
    return Promise.resolve(undefined);
  }

  retry({ id, channel }: Delivery, afterMs: number): Promise<void> {
    const letter = this.#letters.get(channel)?.find((one) => one.delivery.id === id);
    if (letter !== undefined) letter.nextAt = this.#deps.now() + afterMs;
    return Promise.resolve();
  }

  async settle(delivery: Delivery, result: DeliveryResult): Promise<void> {
    const letters = this.#letters.get(delivery.channel) ?? [];
    const at = letters.findIndex((one) => one.delivery.id === delivery.id);
    if (at >= 0) letters.splice(at, 1);
    await this.#deps.onSettled(delivery, result);
  }

  sweep(): Promise<void> {
    return Promise.resolve();
  }
}
