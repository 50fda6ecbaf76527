import type { LogLevel } from "@slack/bolt";
import type { RequestHandler } from "express";
import type { Log } from "../../../lib/log.ts";
import type { Interactive } from "../../slack/interactive.ts";

/** What the route has found out before, see routes/slack.ts. */
interface SignedRequest {
  readonly firstTime?: Promise<boolean>;
}

/**
 * Slack's own framework, for what it knows about interactive requests: their kinds, their acknowledgement. Loaded only when
 * Slack is configured (23 MB). It verifies no signature, because the route has done so with every secret in use, and it
 * asks Slack nothing, so that an outage of Slack's API delays no click.
 */
export async function boltHandler(
  path: string,
  interactive: Interactive,
  log: Log,
): Promise<RequestHandler> {
  const { default: bolt } = await import("@slack/bolt");
  const logger = boltLogger(log, bolt.LogLevel.WARN);
  const receiver = new bolt.ExpressReceiver({
    signingSecret: "",
    signatureVerification: false,
    endpoints: path,
    logger,
    customPropertiesExtractor: (request) => ({
      firstTime: (request as unknown as SignedRequest).firstTime,
    }),
  });
  receiver.app.disable("x-powered-by");
  const app = new bolt.App({
    receiver,
    logger,
    ignoreSelf: false,
    convoStore: false,
    authorize: async () => Promise.resolve({}),
  });
  app.action(/.*/s, async ({ ack, body, context }) => {
    await interactive.take(body, context["firstTime"] as Promise<boolean>);
    await ack();
  });
  app.view(/.*/s, async ({ ack, body, context }) => {
    await interactive.take(body, context["firstTime"] as Promise<boolean>);
    await ack();
  });
  // What is closed, and shortcuts of the same app, are not ours; without an answer Slack would show an error.
  app.view({ callback_id: /.*/s, type: "view_closed" }, async ({ ack }) => ack());
  app.shortcut(/.*/s, async ({ ack }) => ack());
  return receiver.app;
}

function boltLogger(log: Log, level: LogLevel) {
  const text = (parts: readonly unknown[]) => parts.map(String).join(" ").slice(0, 500);
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: (...parts: unknown[]) => {
      log.warn("bolt", { said: text(parts) });
    },
    error: (...parts: unknown[]) => {
      log.error("bolt", { said: text(parts) });
    },
    setLevel: () => undefined,
    getLevel: () => level,
    setName: () => undefined,
  };
}
