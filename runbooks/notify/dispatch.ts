import type { Clock } from "../../lib/clock.ts";
import { codeOf, messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { DeliveryError } from "../../lib/post-json.ts";
import type { Database } from "../../lib/postgres.ts";
import { withCorrelation } from "../../lib/correlation.ts";
import type { Channel, Letter, LetterResult, Outbox, Sent } from "../types/notice.ts";
import { composeRun, type RunNews } from "./compose.ts";
import { isTold } from "./message.ts";

/** Backoff 1 s to 5 min with jitter, given up after a day with an alarm. */
const FIRST_DELAY_MS = 1_000;
const LAST_DELAY_MS = 5 * 60_000;
const GIVE_UP_AFTER_MS = 24 * 3_600_000;
/** How soon another replica's letter is seen. */
const POLL_MS = 500;

export interface DispatchDeps {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly log: Log;
  readonly clock: Clock;
  /** Counts what became of an attempt; `failed` is tried again. */
  readonly delivered: (channel: string, result: LetterResult | "failed") => void;
}

/**
 * Sends one channel's letters until `signal` aborts, each until it is taken, refused for good or a day old. A channel has
 * a loop of its own, so that a slow one holds up no other.
 */
export async function dispatchUntil(
  signal: AbortSignal,
  channel: Channel,
  deps: DispatchDeps,
): Promise<void> {
  let down = false;
  while (!signal.aborted) {
    try {
      const sent =
        (await dispatchNext(channel, signal, deps)) || (await tellDigest(channel, signal, deps));
      down = false;
      if (!sent) await deps.clock.sleep(POLL_MS, signal);
    } catch (error) {
      if (!down)
        deps.log.warn("waiting letters cannot be looked up", { channel: channel.name, error });
      down = true;
      await deps.clock.sleep(POLL_MS, signal);
    }
  }
}

/** Takes the next letter and sends it; false when there is none that may be sent now. */
async function dispatchNext(
  channel: Channel,
  signal: AbortSignal,
  deps: DispatchDeps,
): Promise<boolean> {
  const { outbox, database } = deps;
  const letter = await outbox.take(channel.name);
  if (letter === undefined) return false;
  const news = await composeRun(letter.runId, database);
  if (news === undefined) {
    await outbox.settle(letter, channel.name, "superseded", undefined);
    return true;
  }
  await withCorrelation(news.run.correlationId ?? letter.id, async () =>
    deliver(channel, { letter, news }, signal, deps),
  );
  return true;
}

async function deliver(
  channel: Channel,
  { letter, news }: { readonly letter: Letter; readonly news: RunNews },
  signal: AbortSignal,
  deps: DispatchDeps,
): Promise<void> {
  const { outbox, log } = deps;
  const fields = { channel: channel.name, run: letter.runId, event: letter.event };
  let sent: Sent;
  try {
    if (letter.kind === "message" && letter.shown === undefined && isTold(news))
      await outbox.posting(letter, channel.name);
    sent = await channel.send(letter, news, signal);
  } catch (error) {
    if (signal.aborted) return; // its lease ends by itself, and it is taken again then
    const fault = faultOf(error);
    const result = finalResult(fault, letter);
    deps.delivered(channel.name, result ?? "failed");
    if (result === undefined) {
      log.warn("letter not delivered yet", { ...fields, error });
      await outbox.retry(letter, channel.name, againOf(fault, letter));
      return;
    }
    log.error(result === "refused" ? "letter refused" : "letter given up after a day", {
      ...fields,
      error,
    });
    await outbox.settle(letter, channel.name, result, undefined);
    return;
  }
  const result = sent === undefined ? "superseded" : "delivered";
  deps.delivered(channel.name, result);
  await outbox.settle(letter, channel.name, result, sent);
}

/** In a storm one line says how many wait that are not shown. It is no letter: the next one says it anew. */
async function tellDigest(
  channel: Channel,
  signal: AbortSignal,
  { outbox, log }: DispatchDeps,
): Promise<boolean> {
  if (channel.digest === undefined) return false;
  const digest = await outbox.digest(channel.name);
  if (digest === undefined) return false;
  try {
    await outbox.digestShown(channel.name, digest, await channel.digest(digest, signal));
  } catch (error) {
    if (!signal.aborted) log.warn("digest not delivered", { channel: channel.name, error });
  }
  return true;
}

function finalResult(
  fault: DeliveryError,
  { ageMs }: Letter,
): Extract<LetterResult, "refused" | "gave_up"> | undefined {
  if (fault.kind === "refused") return "refused";
  return ageMs < GIVE_UP_AFTER_MS ? undefined : "gave_up";
}

function faultOf(error: unknown): DeliveryError {
  return error instanceof DeliveryError
    ? error
    : new DeliveryError("unavailable", messageOf(error), { cause: error });
}

function againOf(fault: DeliveryError, { attempts }: Letter) {
  const delay = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(20, attempts - 1));
  const afterMs = Math.max(fault.retryAfterMs, delay * (0.5 + Math.random() / 2));
  // Who asks to be left alone is; otherwise only this letter waits.
  return { afterMs, pauseMs: fault.retryAfterMs, error: fault.message, certain: isCertain(fault) };
}

const NEVER_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"];

/** Whether the receiver certainly has not done what was asked: it said no, or nobody was there to do it. */
function isCertain(fault: DeliveryError): boolean {
  const inner = (fault.cause as { readonly cause?: unknown } | undefined)?.cause;
  return (
    fault.retryAfterMs > 0 ||
    NEVER_SENT.includes(codeOf(inner)) ||
    NEVER_SENT.includes(codeOf(fault.cause)) ||
    fault.cause === undefined
  );
}
