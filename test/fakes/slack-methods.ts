/** A message as Slack keeps it. */
export interface SlackMessage {
  readonly channel: string;
  readonly ts: string;
  readonly thread_ts?: string;
  text: string;
  blocks: unknown;
  readonly metadata: unknown;
  /** How often it was changed by `chat.update`. */
  edits: number;
}

/** What the stand-in knows; tests change it. */
export interface SlackWorld {
  readonly token: string;
  readonly messages: SlackMessage[];
  readonly channels: Set<string>;
  readonly usergroups: Map<string, readonly string[]>;
  readonly scopes: Set<string>;
}

type Body = Readonly<Record<string, unknown>>;
type Said = Readonly<Record<string, unknown>> & { readonly ok: boolean };
type Method = (body: Body, world: SlackWorld) => Said;

/** Slack refuses more; bolt-js#2509 measured about 13,000 characters for the texts of all blocks together. */
const BLOCKS_MAX = 50;
const BLOCKS_TEXT_MAX = 13_000;
const TEXT_MAX = 40_000;

const SCOPES: Readonly<Record<string, string>> = {
  "chat.postMessage": "chat:write",
  "chat.postEphemeral": "chat:write",
  "chat.update": "chat:write",
  "conversations.history": "channels:history",
  "usergroups.users.list": "usergroups:read",
  "users.info": "users:read",
};

const METHODS: Readonly<Record<string, Method>> = {
  "auth.test": () => ({
    ok: true,
    url: "https://fettle.slack.com/",
    team: "Fettle",
    team_id: "T0FETTLE",
    user: "fettle",
    user_id: "U0BOT",
    bot_id: "B0BOT",
  }),
  "chat.postMessage": postMessage,
  "chat.postEphemeral": (body, world) =>
    messageProblem(body, world) ?? { ok: true, message_ts: nextTs() },
  "chat.update": updateMessage,
  "conversations.history": history,
  "usergroups.users.list": ({ usergroup }, { usergroups }) => {
    const users = usergroups.get(String(usergroup));
    return users === undefined ? refused("no_such_subteam") : { ok: true, users };
  },
  "users.info": ({ user }) => ({
    ok: true,
    user: {
      id: user,
      team_id: "T0FETTLE",
      is_bot: String(user).startsWith("UBOT"),
      deleted: false,
    },
  }),
  "views.open": ({ trigger_id: trigger, view }) =>
    typeof trigger === "string" && view !== undefined
      ? { ok: true, view: { id: "V0FETTLE" } }
      : refused("invalid_arguments"),
};

/** @returns Slack's answer, which is HTTP 200 also when it refuses */
export function answerMethod(method: string, body: Body, world: SlackWorld): Said {
  const answer = METHODS[method];
  if (answer === undefined) return refused("unknown_method");
  if (body["token"] !== world.token) return refused("invalid_auth");
  const scope = SCOPES[method];
  if (scope !== undefined && !world.scopes.has(scope))
    return { ...refused("missing_scope"), needed: scope, provided: [...world.scopes].join(",") };
  return answer(body, world);
}

function postMessage(body: Body, world: SlackWorld): Said {
  const problem = messageProblem(body, world);
  if (problem !== undefined) return problem;
  const { channel, text, thread_ts: thread, blocks, metadata } = body;
  const message: SlackMessage = {
    channel: String(channel),
    ts: nextTs(),
    ...(typeof thread === "string" ? { thread_ts: thread } : {}),
    text: typeof text === "string" ? text : "",
    blocks,
    metadata,
    edits: 0,
  };
  world.messages.push(message);
  return { ok: true, channel: message.channel, ts: message.ts, message };
}

function updateMessage(body: Body, world: SlackWorld): Said {
  const message = world.messages.find(
    ({ channel, ts }) => channel === body["channel"] && ts === body["ts"],
  );
  if (message === undefined) return refused("message_not_found");
  const problem = messageProblem(body, world);
  if (problem !== undefined) return problem;
  message.text = typeof body["text"] === "string" ? body["text"] : message.text;
  message.blocks = body["blocks"] ?? message.blocks;
  message.edits += 1;
  return { ok: true, channel: message.channel, ts: message.ts, text: message.text, message };
}

/** The newest first, without the answers in threads; metadata only when it is asked for. */
function history(body: Body, { channels, messages }: SlackWorld): Said {
  if (!channels.has(String(body["channel"]))) return refused("channel_not_found");
  const all = String(body["include_all_metadata"]) === "true";
  const oldest = typeof body["oldest"] === "string" ? body["oldest"] : "0";
  const found = messages
    .filter(({ channel, ts, thread_ts: thread }) =>
      [channel === body["channel"], thread === undefined, ts > oldest].every(Boolean),
    )
    .reverse()
    .slice(0, Number(body["limit"] ?? 100))
    .map(({ metadata, ...message }) => (all ? { ...message, metadata } : message));
  return { ok: true, messages: found, has_more: false };
}

function messageProblem(body: Body, { channels }: SlackWorld): Said | undefined {
  const { channel, text, blocks } = body;
  if (!channels.has(String(channel))) return refused("channel_not_found");
  if (text === undefined && blocks === undefined) return refused("no_text");
  if (typeof text === "string" && text.length > TEXT_MAX) return refused("msg_too_long");
  if (blocks === undefined) return undefined;
  if (!Array.isArray(blocks) || blocks.length > BLOCKS_MAX) return refused("invalid_blocks");
  return textIn(blocks).length > BLOCKS_TEXT_MAX ? refused("msg_blocks_too_long") : undefined;
}

/** Every text that stands anywhere in the blocks. */
function textIn(value: unknown): string {
  if (Array.isArray(value)) return value.map(textIn).join("");
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .map(([name, member]) =>
      name === "text" && typeof member === "string" ? member : textIn(member),
    )
    .join("");
}

let issued = 0;

/** Slack's own form: seconds with six digits, never the same twice. */
function nextTs(): string {
  issued += 1;
  return `1795240000.${String(issued).padStart(6, "0")}`;
}

function refused(error: string): Said {
  return { ok: false, error };
}
