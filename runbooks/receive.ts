import type { Request } from "express";
import type { Clock } from "../lib/clock.ts";
import type { Database } from "../lib/postgres.ts";
import { HttpProblem } from "../lib/problem.ts";
import { SIGNATURE_HEADER, TIMESTAMP_HEADER } from "../lib/signature.ts";
import { inSpan } from "../lib/tracing.ts";
import { authenticate, type Credentials, type Sender } from "./authenticate.ts";
import { parseFrame } from "./parse.ts";
import { readBody } from "./read-body.ts";
import { storeDelivery, storeMalformed, type Receipt } from "./store.ts";
import type { Enqueue } from "./types.ts";

export interface ReceiveDeps {
  readonly credentials: Credentials;
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly clock: Clock;
  /** Deliveries that wait to be looked at; past the limit nothing more is taken. */
  readonly inboxIsFull: () => boolean;
}

/** The way of an alert in: authenticate → parse → store → answer. The answer is given only for what is committed. */
export async function receive(request: Request, deps: ReceiveDeps): Promise<Receipt> {
  return inSpan("runbooks.receive", {}, async () => {
    const sender = authenticate(headersOf(request), deps.credentials);
    if (sender.kind === "refused") throw unauthorized();
    if (deps.inboxIsFull()) throw full();

    const raw = await readBody(request);
    const source = sourceOf(sender, raw, deps.clock.now());
    if (source === undefined) throw unauthorized();

    const parsed = parseFrame(raw);
    if (parsed.kind === "malformed") {
      await storeMalformed({ source, raw, problem: parsed.problem }, deps.database);
      throw new HttpProblem(400, "Not an alert webhook", parsed.problem);
    }
    return storeDelivery({ source, raw, frame: parsed.frame }, deps.database, deps.enqueue);
  });
}

function headersOf(request: Request) {
  return {
    authorization: request.get("authorization"),
    signature: request.get(SIGNATURE_HEADER),
    timestamp: request.get(TIMESTAMP_HEADER),
  };
}

function sourceOf(
  sender: Exclude<Sender, { kind: "refused" }>,
  raw: Buffer,
  now: Date,
): string | undefined {
  return sender.kind === "known" ? sender.source : sender.verify(raw, now);
}

function unauthorized(): HttpProblem {
  return new HttpProblem(
    401,
    "Unauthorized",
    "A bearer token, basic password or signature of a known sender is needed.",
    {
      "WWW-Authenticate": 'Bearer realm="fettle"',
      Connection: "close", // the rest of the body is not read
    },
  );
}

// 503 and never 429: Alertmanager gives a flush up for good on every 4xx (measured with 0.25).
function full(): HttpProblem {
  return new HttpProblem(503, "Too many alerts are waiting", undefined, { "Retry-After": "5" });
}
