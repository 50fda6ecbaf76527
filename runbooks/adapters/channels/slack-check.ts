import { messageOf } from "../../../lib/error.ts";
import { askSlack, quiet, type SlackAnswer, type SlackCall } from "./slack-api.ts";

/** One thing that Fettle needs of Slack. */
export interface SlackCheck {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Does once what the service will do: says who it is, posts a line, and reads the channel. */
export async function checkSlack(channel: string, call: SlackCall): Promise<readonly SlackCheck[]> {
  const text = "Fettle can post here. This is a test; nothing is asked.";
  return [
    await check("the token is valid", "auth.test", {}, call, ({ user, team }) =>
      [user, team].filter((part) => part !== undefined).join(" in "),
    ),
    await check("the bot may post", "chat.postMessage", { channel, ...quiet(text) }, call),
    await check(
      "the bot may read its channel (else a message may come twice after an outage)",
      "conversations.history",
      { channel, limit: "1" },
      call,
    ),
  ];
}

async function check(
  what: string,
  method: string,
  body: object,
  call: SlackCall,
  detailOf: (answer: SlackAnswer) => string = () => "",
): Promise<SlackCheck> {
  try {
    return { what, ok: true, detail: detailOf(await askSlack(method, body, call)) };
  } catch (error) {
    return { what, ok: false, detail: messageOf(error) };
  }
}
