import express, { type Express, type Request, type RequestHandler } from "express";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Secret } from "../../lib/secret.ts";
import { seenBefore } from "../seen-request.ts";
import { slackObjection } from "../slack/signature.ts";

export const SLACK_PATH = "/slack/interactive";

/** Far more than a click; Slack's own requests stay below 100 KiB. */
const BODY_LIMIT_BYTES = 512 * 1024;
/** Longer than a signature stays fresh on both sides of our clock. */
const REPLAY_SECONDS = 660;
/** The database may take its time: then the request goes on, and the click waits for the answer. */
const REPLAY_WAIT_MS = 500;

export interface SlackRouteDeps {
  /** Undefined without SLACK_SIGNING_SECRET: then nobody answers at the address. */
  readonly slack?: SlackEndpoint | undefined;
}

export interface SlackEndpoint {
  /** Every signing secret in use. */
  readonly secrets: readonly Secret[];
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** What comes behind the signature; finds the bytes as `rawBody`, and `firstTime` that they come for the first time. */
  readonly handler: RequestHandler;
}

/** Where Slack sends the clicks. Before all that reads bodies: the signature is over the raw bytes. */
export function addSlackRoutes(app: Express, { slack }: SlackRouteDeps): void {
  if (slack === undefined) return;
  const raw = express.raw({ type: () => true, limit: BODY_LIMIT_BYTES, inflate: false });
  app.post(SLACK_PATH, raw, signedBySlack(slack), slack.handler);
  app.get(SLACK_PATH, (request, response) => {
    if (request.query["ssl_check"] !== "1") throw new HttpProblem(404, "Not found");
    response.end(); // Slack looks now and then whether our certificate is good
  });
}

function signedBySlack({ secrets, database, clock, log }: SlackEndpoint): RequestHandler {
  return async (request, _response, next) => {
    const raw = bytesOf(request);
    const signature = request.get("x-slack-signature");
    const timestamp = request.get("x-slack-request-timestamp");
    const objection = slackObjection({ signature, timestamp }, raw, secrets, clock.now());
    if (objection !== undefined) throw refused(objection, log);
    const firstTime = database.inTransaction(
      async (tx) => !(await seenBefore(tx, `slack:${signature ?? ""}`, REPLAY_SECONDS)),
    );
    firstTime.catch(() => undefined); // whoever takes the click hears of it
    const waiting = new AbortController();
    const known = await Promise.race([
      firstTime.catch(() => undefined),
      clock.sleep(REPLAY_WAIT_MS, waiting.signal).then(() => undefined),
    ]);
    waiting.abort();
    if (known === false) throw refused("the same request has come before", log);
    Object.assign(request, { rawBody: raw, firstTime });
    next();
  };
}

function bytesOf({ body }: Request): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

/** What was wrong with it is for our log only. */
function refused(why: string, log: Log): HttpProblem {
  log.warn("a request to Slack's address was refused", { why });
  return new HttpProblem(401, "Unauthorized", "The request is not signed by our Slack app.");
}
