import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

/** A stand-in for a vendor's endpoint on this machine: it takes what the vendor takes, and refuses what it refuses. */
export interface Receiver {
  readonly url: string;
  /** Bodies that were taken, in order. */
  readonly taken: unknown[];
  /** Answers given instead of looking, one per request. */
  readonly faults: Fault[];
  readonly stop: () => Promise<void>;
}

interface Fault {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Vendor {
  readonly schema: z.ZodType;
  /** The vendor's word when the body is not of its form. */
  readonly refusal: string;
  answer(request: IncomingMessage, body: unknown): Fault;
}

const markdown = (max: number) =>
  z.object({ type: z.literal("mrkdwn"), text: z.string().min(1).max(max), verbatim: z.boolean() });

const plain = (max: number) =>
  z.strictObject({
    type: z.literal("plain_text"),
    text: z.string().min(1).max(max),
    emoji: z.boolean().optional(),
  });

/** A webhook's buttons can only lead somewhere. */
const linkButton = z.strictObject({
  type: z.literal("button"),
  action_id: z.string().max(255),
  text: plain(75),
  url: z.url(),
});

/** Slack's incoming webhooks: 200 with the text `ok`, 400 `invalid_blocks` beyond the documented limits. */
const SLACK: Vendor = {
  schema: z.strictObject({
    text: z.string().min(1).max(40_000),
    blocks: z
      .array(
        z.union([
          z.strictObject({ type: z.literal("section"), text: markdown(3000) }),
          z.strictObject({ type: z.literal("section"), fields: z.array(markdown(2000)).max(10) }),
          z.strictObject({ type: z.literal("context"), elements: z.array(markdown(3000)).max(10) }),
          z.strictObject({ type: z.literal("header"), text: plain(150) }),
          z.strictObject({
            type: z.literal("actions"),
            block_id: z.string().max(255),
            elements: z.array(linkButton).min(1).max(25),
          }),
        ]),
      )
      .max(50),
  }),
  refusal: "invalid_blocks",
  answer: () => ({ status: 200, body: "ok" }),
};

const embed = z.strictObject({
  title: z.string().max(256),
  description: z.string().max(4096),
  color: z.int().min(0).max(0xffffff),
  timestamp: z.iso.datetime(),
  url: z.url().optional(),
  fields: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(256),
        value: z.string().min(1).max(1024),
        inline: z.boolean(),
      }),
    )
    .max(25),
});

/** Discord's webhooks: with `wait=true` 200 and the message, without it 204 whatever the body was. */
const DISCORD: Vendor = {
  schema: z.strictObject({
    allowed_mentions: z.strictObject({ parse: z.array(z.never()) }),
    embeds: z
      .array(embed)
      .max(10)
      .refine((embeds) => charactersOf(embeds) <= 6000),
  }),
  refusal: '{"message": "Invalid Form Body", "code": 50035}',
  answer: (request) =>
    request.url?.includes("wait=true") === true
      ? { status: 200, body: '{"id": "1"}' }
      : { status: 204 },
};

function charactersOf(embeds: readonly z.infer<typeof embed>[]): number {
  return embeds
    .flatMap(({ title, description, fields }) => [
      title,
      description,
      ...fields.flatMap(({ name, value }) => [name, value]),
    ])
    .join("").length;
}

const event = { routing_key: z.string().length(32), dedup_key: z.string().min(1).max(255) };

/** PagerDuty's Events API v2: 202 with the dedup_key, 400 for an event that is not of its form. */
const PAGERDUTY: Vendor = {
  schema: z.union([
    z.strictObject({ ...event, event_action: z.enum(["acknowledge", "resolve"]) }),
    z.strictObject({
      ...event,
      event_action: z.literal("trigger"),
      client: z.string(),
      client_url: z.url().optional(),
      links: z.array(z.strictObject({ href: z.url(), text: z.string() })).optional(),
      payload: z.strictObject({
        summary: z.string().min(1).max(1024),
        source: z.string().min(1),
        severity: z.enum(["critical", "error", "warning", "info"]),
        timestamp: z.iso.datetime(),
        component: z.string(),
        group: z.string().optional(),
        class: z.string(),
        custom_details: z.record(z.string(), z.unknown()),
      }),
    }),
  ]),
  refusal: '{"status":"invalid event","message":"Event object is invalid"}',
  answer: (_request, body) => ({
    status: 202,
    body: JSON.stringify({ ...(body as object), status: "success" }),
  }),
};

const VENDORS = { slack: SLACK, discord: DISCORD, pagerduty: PAGERDUTY } as const;
const PATHS = {
  slack: "/services/T000/B000/secretpart",
  discord: "/api/webhooks/1/secretpart",
  pagerduty: "/v2/enqueue",
} as const;
const BODY_BYTES_MAX = 512 * 1024;

export async function startReceiver(name: keyof typeof VENDORS): Promise<Receiver> {
  const taken: unknown[] = [];
  const faults: Fault[] = [];
  const server = createServer((request, response) => {
    void receive(request, response, { vendor: VENDORS[name], taken, faults });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${PATHS[name]}`,
    taken,
    faults,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function receive(
  request: IncomingMessage,
  response: ServerResponse,
  { vendor, taken, faults }: { vendor: Vendor; taken: unknown[]; faults: Fault[] },
): Promise<void> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  const answer = faults.shift() ?? lookAt(request, text, vendor, taken);
  response.writeHead(answer.status, answer.headers).end(answer.body ?? "");
}

function lookAt(request: IncomingMessage, text: string, vendor: Vendor, taken: unknown[]): Fault {
  const body: unknown = JSON.parse(text);
  if (!vendor.schema.safeParse(body).success || Buffer.byteLength(text) > BODY_BYTES_MAX) {
    return { status: 400, body: vendor.refusal };
  }
  taken.push(body);
  return vendor.answer(request, body);
}
