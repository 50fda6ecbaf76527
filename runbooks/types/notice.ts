import type { RunNews } from "../notify/compose.ts";

export type ChannelName = "slack" | "slack_webhook" | "discord" | "pagerduty" | "email" | "github";

/** `message`: the one message of a run, edited in place; `thread`: a line below it; `event`: something of its own. */
export type LetterKind = "message" | "thread" | "event";

/** What one channel has to be told about one run. */
export interface Letter {
  readonly id: string;
  readonly kind: LetterKind;
  readonly runId: string;
  /** The audit row that it tells of. */
  readonly event: string;
  readonly actor: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly at: Date;
  readonly attempts: number;
  readonly ageMs: number;
  /** The run's message in this channel. */
  readonly shown: ShownMessage | undefined;
}

export interface ShownMessage {
  /** Undefined when it may exist, but its name was never learnt: we were killed, or the answer did not come. */
  readonly remoteId: string | undefined;
  readonly remoteChannel: string | undefined;
  readonly sha256: string | undefined;
}

/** What was sent; `undefined` when there was nothing to say. */
export type Sent = { readonly message?: ShownMessage } | undefined;

/** Where people read. Each failure is a DeliveryError. */
export interface Channel {
  readonly name: ChannelName;
  /** What it is told of an event; nothing when empty. */
  kindsOf(event: string): readonly LetterKind[];
  send(letter: Letter, news: RunNews, signal: AbortSignal): Promise<Sent>;
  /** Shows how many runs wait unshown; undefined where there is no such thing. */
  digest?(digest: Digest, signal: AbortSignal): Promise<Sent>;
}

/** In a storm: what is shown, and what is not. */
export interface Digest {
  readonly waiting: number;
  readonly shown: number;
  readonly message: ShownMessage | undefined;
}

export type LetterResult = "delivered" | "superseded" | "refused" | "gave_up";

/** The durable outbox, shared by all replicas. */
export interface Outbox {
  /** The next letter of a channel whose pace allows one; it is this caller's for 30 s. */
  take(channel: ChannelName): Promise<Letter | undefined>;
  /** A message is about to be posted for the first time. */
  posting(letter: Letter, channel: ChannelName): Promise<void>;
  settle(letter: Letter, channel: ChannelName, result: LetterResult, sent: Sent): Promise<void>;
  /** @param pauseMs how long the channel as a whole is left alone */
  retry(letter: Letter, channel: ChannelName, again: Again): Promise<void>;
  /** What does not fit on the screen any more; undefined when everything does, or it was said lately. */
  digest(channel: ChannelName): Promise<Digest | undefined>;
  digestShown(channel: ChannelName, digest: Digest, sent: Sent): Promise<void>;
  /** Seconds that the oldest waiting letter has waited, by channel. */
  oldest(): Promise<ReadonlyMap<string, number>>;
  sweep(): Promise<void>;
}

interface Again {
  readonly afterMs: number;
  readonly pauseMs: number;
  readonly error: string;
  /** Whether the message certainly does not exist. */
  readonly certain: boolean;
}
