import type { Anomaly } from "./anomaly.ts";
import type { Labels } from "./source.ts";

export type AlertStatus = "firing" | "resolved";

/** Alertmanager's webhook frame, version 4, with one alert. */
export interface DetectorFrame {
  readonly version: "4";
  readonly receiver: "fettle-detector";
  readonly status: AlertStatus;
  readonly groupKey: string;
  readonly truncatedAlerts: 0;
  readonly groupLabels: Labels;
  readonly commonLabels: Labels;
  readonly commonAnnotations: Labels;
  readonly externalURL: string;
  readonly alerts: readonly [DetectorAlert];
}

interface DetectorAlert {
  readonly status: AlertStatus;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL: string;
  readonly fingerprint: string;
}

/** Who can be told. */
export type ChannelName = "runbooks" | "alertmanager" | "slack" | "discord" | "pagerduty";

/** One receiver of alerts. Both methods reject with a PostError. */
export interface Channel {
  readonly name: ChannelName;
  post(anomaly: Anomaly, status: AlertStatus, signal: AbortSignal): Promise<void>;
  /** Says again what is open, where it would be forgotten otherwise. */
  readonly repeat?: (open: readonly Anomaly[], signal: AbortSignal) => Promise<void>;
}

/** One alert on its way to one channel, taken by this process for a while. */
export interface Delivery {
  readonly id: string;
  readonly channel: ChannelName;
  readonly anomaly: Anomaly;
  readonly status: AlertStatus;
  /** The trace of the cycle that found it. */
  readonly traceparent: string | undefined;
  /** This one included. */
  readonly attempts: number;
  readonly ageMs: number;
}

/** How a delivery ended. `refused`: the receiver will never take it; `gave_up`: nobody took it for a day. */
export type DeliveryResult = "delivered" | "refused" | "gave_up";

/** Where alerts wait for their channel. */
export interface Mailbox {
  /** The next one that is due; nobody else takes it for half a minute. An anomaly's end waits for its beginning. */
  take(channel: ChannelName): Promise<Delivery | undefined>;
  retry(delivery: Delivery, afterMs: number, error: string): Promise<void>;
  settle(delivery: Delivery, result: DeliveryResult): Promise<void>;
  /** Gives up what nobody asks for, and forgets what is long over. */
  sweep(): Promise<void>;
}

/** How the news of an episode is put into the mailbox together with its row. */
export interface Mailing {
  readonly traceparent: string | undefined;
  /** How long another sender, who has it in memory, goes first. */
  readonly headStartMs: number;
}
