import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { MemoryMailbox } from "./memory-mailbox.ts";
import type { DetectorMetrics } from "./metrics.ts";
import { Outbox } from "./outbox.ts";
import type { PublishDeps } from "./publish.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Channel, ChannelName, Delivery, DeliveryResult, Mailbox } from "./types/delivery.ts";

export interface PostOfficeDeps {
  readonly channels: readonly Channel[];
  /** The database's; undefined without one. */
  readonly durable: Mailbox | undefined;
  readonly journal: { settled(delivery: Delivery, result: DeliveryResult): Promise<void> };
  readonly openAnomalies: () => readonly Anomaly[];
  readonly metrics: Pick<DetectorMetrics, "delivery">;
  readonly log: Log;
  readonly clock: Clock;
}

/** All channels together: every alert goes to each of them, on its own way. */
export interface PostOffice {
  readonly add: PublishDeps["outbox"]["add"];
  readonly channels: readonly { readonly name: ChannelName; readonly fault: unknown }[];
  start(): void;
  stop(): Promise<void>;
}

export function openPostOffice(deps: PostOfficeDeps): PostOffice {
  const memory = new MemoryMailbox({
    now: () => deps.clock.now().getTime(),
    onSettled: async (delivery, result) => deps.journal.settled(delivery, result),
    onDropped: ({ channel, anomaly }) => {
      deps.metrics.delivery(channel, "dropped");
      deps.log.error("alert dropped, the channel is too far behind", {
        channel,
        anomaly: anomaly.id,
      });
    },
  });
  const mailboxes = deps.durable === undefined ? [memory] : [memory, deps.durable];
  const outboxes = deps.channels.map((channel) => ({
    name: channel.name,
    outbox: new Outbox({ ...deps, channel, mailboxes }),
  }));
  return {
    add: (anomaly, status, kept) => {
      for (const { name, outbox } of outboxes) {
        if (kept === "unstored") memory.add(name, anomaly, status);
        outbox.wake();
      }
    },
    get channels() {
      return outboxes.map(({ name, outbox }) => ({ name, fault: outbox.fault }));
    },
    start: () => {
      for (const { outbox } of outboxes) outbox.start();
    },
    stop: async () => {
      await Promise.all(outboxes.map(async ({ outbox }) => outbox.stop()));
    },
  };
}
