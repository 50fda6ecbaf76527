import { failpoint } from "../../../lib/failpoint.ts";
import { DeliveryError } from "../../../lib/post-json.ts";
import type { RunNews } from "../../notify/compose.ts";
import { escapeSlack } from "../../notify/limits.ts";
import { isTold, threadLineOf } from "../../notify/message.ts";
import {
  plainMessage,
  renderedHash,
  slackMessage,
  type SlackText,
  type SlackView,
} from "../../notify/slack-blocks.ts";
import {
  askSlack,
  quiet,
  SlackRefusal,
  UnreadableAnswer,
  type SlackAccess,
  type SlackAnswer,
  type SlackCall,
} from "./slack-api.ts";
import type { Channel, Letter, LetterKind, Sent, ShownMessage } from "../../types/notice.ts";

export interface SlackOptions extends SlackView, SlackAccess {
  /** Where runs are shown. */
  readonly channel: string;
}

/** What postJson reads of an answer holds so many messages of ours. */
const HISTORY_SHOWN = 15;

/** Slack by a bot: one message per run, edited in place, with a line in its thread for each step. */
export function connectSlack(options: SlackOptions): Channel {
  return {
    name: "slack",
    kindsOf,
    send: async (letter, news, signal) =>
      letter.kind === "thread"
        ? sendLine(letter, news, { ...options, signal })
        : sendMessage(letter, news, { ...options, signal }),
    digest: async ({ waiting, shown, message }, signal) => {
      const hidden = waiting - shown;
      const queue = options.links.queue();
      const where = queue === undefined ? "`fettle runs`" : `<${queue}|all of them>`;
      const text =
        hidden > 0
          ? `${waiting} runs wait for an approval, ${shown} of them are shown here: ${where}`
          : "All runs that wait for an approval are shown here again.";
      const rendered = plainMessage(text);
      return message?.sha256 === renderedHash(rendered)
        ? { message }
        : showText(rendered, message, "digest", { ...options, signal });
    },
  };
}

const SILENT_EVENTS: ReadonlySet<string> = new Set(["request", "approval_denied"]);
const THREAD_ONLY: ReadonlySet<string> = new Set([
  "reminder",
  "collector_started",
  "collector_finished",
]);
const MESSAGE_ONLY: ReadonlySet<string> = new Set(["approval_pending", "progress"]);

function kindsOf(event: string): readonly LetterKind[] {
  if (SILENT_EVENTS.has(event)) return [];
  if (THREAD_ONLY.has(event)) return ["thread"];
  return MESSAGE_ONLY.has(event) ? ["message"] : ["message", "thread"];
}

type Call = SlackOptions & SlackCall;

async function sendLine(letter: Letter, news: RunNews, call: Call): Promise<Sent> {
  const line = threadLineOf(letter, news);
  const { remoteId, remoteChannel } = letter.shown ?? {};
  if (line === undefined || remoteId === undefined) return undefined;
  await askSlack(
    "chat.postMessage",
    { channel: remoteChannel ?? call.channel, thread_ts: remoteId, ...quiet(escapeSlack(line)) },
    call,
  );
  return {};
}

async function sendMessage(letter: Letter, news: RunNews, call: Call): Promise<Sent> {
  const { shown } = letter;
  if (shown === undefined && !isTold(news)) return undefined;
  const rendered = slackMessage(news, call);
  if (shown?.remoteId !== undefined && shown.sha256 === renderedHash(rendered)) return undefined;
  return showText(rendered, shown, news.run.id, call, letter.id);
}

/** Edits what is there; posts it where there is nothing, or where nobody knows whether there is. */
async function showText(
  rendered: SlackText,
  shown: ShownMessage | undefined,
  runId: string,
  call: Call,
  letterId = runId,
): Promise<Sent> {
  if (shown?.remoteId !== undefined) {
    const edited = await edit(rendered, { ...shown, remoteId: shown.remoteId }, call);
    if (edited !== undefined) return edited;
  }
  // A row without a name: an earlier attempt may have posted it.
  const uncertain = shown !== undefined && shown.remoteId === undefined;
  const found = uncertain ? await findPosted(runId, call) : undefined;
  if (typeof found === "object") return edit(rendered, found, call);
  const marked = found === "unknown" ? repeatOf(rendered) : rendered;
  const metadata = {
    event_type: "fettle_approval",
    event_payload: { run_id: runId, outbox_id: letterId },
  };
  const answer = await show("chat.postMessage", marked, { channel: call.channel, metadata }, call);
  await failpoint("slack-posted");
  return shownAs(answer, rendered, call.channel);
}

/** Undefined when a person has deleted it. */
async function edit(
  rendered: SlackText,
  { remoteId, remoteChannel }: Pick<ShownMessage, "remoteChannel"> & { readonly remoteId: string },
  call: Call,
): Promise<Sent> {
  const channel = remoteChannel ?? call.channel;
  try {
    await show("chat.update", rendered, { channel, ts: remoteId }, call);
  } catch (error) {
    if (error instanceof SlackRefusal && error.word === "message_not_found") return undefined;
    throw error;
  }
  return { message: { remoteId, remoteChannel: channel, sha256: renderedHash(rendered) } };
}

/** With blocks, and once more without them when they are too long for Slack. */
async function show(
  method: string,
  { text, blocks }: SlackText,
  where: object,
  call: Call,
): Promise<SlackAnswer> {
  try {
    return await askSlack(method, { ...where, ...quiet(text), blocks }, call);
  } catch (error) {
    const tooLong =
      error instanceof SlackRefusal &&
      /^(msg_blocks_too_long|msg_too_long|invalid_blocks)/.test(error.word);
    if (!tooLong) throw error;
    return askSlack(method, { ...where, ...quiet(text.slice(0, 1_000)), blocks: [] }, call);
  }
}

/**
 * The message of this run that an earlier attempt may have left; "unknown" when the bot may not read the channel, undefined
 * when there is none.
 */
async function findPosted(
  runId: string,
  call: Call,
): Promise<{ readonly remoteId: string; readonly remoteChannel: string } | "unknown" | undefined> {
  const query = {
    channel: call.channel,
    limit: String(HISTORY_SHOWN),
    include_all_metadata: "true",
  };
  try {
    const { messages = [] } = await askSlack("conversations.history", query, call);
    const ours = messages.find(({ metadata }) => metadata?.event_payload?.run_id === runId);
    return ours?.ts === undefined ? undefined : { remoteId: ours.ts, remoteChannel: call.channel };
  } catch (error) {
    if (error instanceof SlackRefusal || error instanceof UnreadableAnswer) return "unknown";
    throw error;
  }
}

function repeatOf({ text, blocks }: SlackText): SlackText {
  const note = "This may be a repeat: Slack did not answer when it was sent first.";
  const context = { type: "context", elements: [{ type: "mrkdwn", text: note, verbatim: true }] };
  return { text, blocks: [...blocks, context] };
}

function shownAs({ ts, channel }: SlackAnswer, rendered: SlackText, fallback: string): Sent {
  if (ts === undefined) throw new DeliveryError("unavailable", "Slack did not name its message");
  return {
    message: { remoteId: ts, remoteChannel: channel ?? fallback, sha256: renderedHash(rendered) },
  };
}
