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

/** 17,000 alerts of the size that Alertmanager sends. */
const BODY_LIMIT_BYTES = 16 * 1024 * 1024;
/** A signature can only be checked over the whole body, so strangers are read as well: the detector sends one alert (4 kB). */
const SIGNED_BODY_LIMIT_BYTES = 1024 * 1024;
/** Bodies in memory at once; past it the sender is asked to come again. */
const READING_AT_ONCE_MAX = 128;

/** The way of an alert in: authenticate → parse → store → answer. The answer is given only for what is committed. */
export function createReceiver(deps: ReceiveDeps): (request: Request) => Promise<Receipt> {
  let reading = 0;
  return async (request) =>
    inSpan("runbooks.receive", {}, async () => {
      const sender = authenticate(headersOf(request), deps.credentials, deps.clock.now());
      if (sender.kind === "refused") throw unauthorized();
      if (deps.inboxIsFull() || reading >= READING_AT_ONCE_MAX) throw full();

      reading += 1;
      try {
        return await take(request, sender, deps);
      } finally {
        reading -= 1;
      }
    });
}

async function take(
  request: Request,
  sender: Exclude<Sender, { kind: "refused" }>,
  deps: ReceiveDeps,
): Promise<Receipt> {
  const signed = sender.kind === "signed";
  const raw = await readBody(request, signed ? SIGNED_BODY_LIMIT_BYTES : BODY_LIMIT_BYTES);
  const source = signed ? sender.verify(raw) : sender.source;
  if (source === undefined) throw unauthorized();

  const parsed = parseFrame(raw);
  if (parsed.kind === "malformed") {
    await storeMalformed({ source, raw, problem: parsed.problem }, deps.database);
    throw new HttpProblem(400, "Not an alert webhook", parsed.problem);
  }
  return storeDelivery({ source, raw, frame: parsed.frame }, deps.database, deps.enqueue);
}

function headersOf(request: Request) {
  return {
    authorization: request.get("authorization"),
    signature: request.get(SIGNATURE_HEADER),
    timestamp: request.get(TIMESTAMP_HEADER),
  };
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
