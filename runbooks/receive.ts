import type { Request } from "express";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { HttpProblem } from "../lib/problem.ts";
import { SIGNATURE_HEADER, TIMESTAMP_HEADER } from "../lib/signature.ts";
import { inSpan } from "../lib/tracing.ts";
import { authenticate, type Credentials, type Sender } from "./authenticate.ts";
import type { Load } from "./overload.ts";
import { parseFrame } from "./parse.ts";
import { readBody, type Body } from "./read-body.ts";
import type { Source, Sources } from "./sources.ts";
import { storeDelivery, storeMalformed, type Receipt } from "./store.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";
import type { Enqueue } from "./types/intake.ts";

/** What receiving has of its own. */
export interface Intake {
  readonly database: Database;
  readonly load: Load;
  readonly log: Log;
  readonly sources: Sources;
  readonly proxies: TrustedProxies;
  /** In which a trusted proxy tells the name of the client's certificate. */
  readonly certificateHeader: string | undefined;
  /** Beside Grafana's signature. */
  readonly timestampHeader: string;
}

export interface ReceiveDeps {
  readonly intake: Intake;
  readonly enqueue: Enqueue;
  readonly clock: Clock;
}

/** 17,000 alerts of the size that Alertmanager sends. */
const BODY_LIMIT_BYTES = 16 * 1024 * 1024;
/** A signature can only be checked over the whole body, so strangers are read as well: the detector sends one alert (4 kB). */
const SIGNED_BODY_LIMIT_BYTES = 1024 * 1024;
/** Requests in hand at once; past it the sender is asked to come again. */
const READING_AT_ONCE_MAX = 128;
/** Grafana's own name (alerting `receivers/webhook/v1`); what it signs is what our detector signs. */
const GRAFANA_SIGNATURE_HEADER = "x-grafana-alerting-signature";
/** Addresses end up in logs, so no secret may stand in one. */
const SECRET_PARAMETERS = [
  "token",
  "access_token",
  "api-key",
  "api_key",
  "apikey",
  "key",
  "secret",
];

/** The way of an alert in: authenticate → parse → store → answer. The answer is given only for what is committed. */
export function createReceiver(deps: ReceiveDeps): (request: Request) => Promise<Receipt> {
  const { load, sources } = deps.intake;
  let reading = 0;
  return async (request) =>
    inSpan("runbooks.receive", {}, async () => {
      const credentials = credentialsOf(request, deps.intake);
      const sender = authenticate(credentials, sources, deps.clock.now());
      if (sender.kind === "refused" || hasSecretInAddress(request, deps.intake))
        throw unauthorized();
      if (sender.kind === "known") forbidSilenced(sender.source);
      const refusal = reading >= READING_AT_ONCE_MAX ? "Too many alerts at once" : load.refusal();
      if (refusal !== undefined) throw unavailable(refusal);

      reading += 1;
      try {
        return await take(request, { sender, signature: credentials.signature }, deps);
      } finally {
        reading -= 1;
      }
    });
}

interface Sent {
  readonly sender: Exclude<Sender, { kind: "refused" }>;
  readonly signature: string | undefined;
}

async function take(
  request: Request,
  { sender, signature }: Sent,
  deps: ReceiveDeps,
): Promise<Receipt> {
  const { load } = deps.intake;
  const signed = sender.kind === "signed";
  const limit = signed ? SIGNED_BODY_LIMIT_BYTES : BODY_LIMIT_BYTES;
  const body = await readBody(request, limit, load);
  if (body === "no room") throw unavailable("Too many alerts at once");
  try {
    const source = signed ? sender.verify(body.raw) : sender.source;
    if (source === undefined) throw unauthorized();
    forbidSilenced(source);
    return await store(
      body,
      { source: source.name, signature: signed ? signature : undefined },
      deps,
    );
  } finally {
    load.give(body.heldBytes);
  }
}

async function store(
  { raw }: Body,
  { source, signature }: { readonly source: string; readonly signature: string | undefined },
  { intake: { database }, enqueue }: ReceiveDeps,
): Promise<Receipt> {
  const parsed = parseFrame(raw);
  if (parsed.kind === "malformed") {
    await storeMalformed({ source, raw, problem: parsed.problem }, database);
    throw new HttpProblem(400, "Not an alert webhook", parsed.problem);
  }
  const { frame, flags } = parsed;
  return storeDelivery({ source, raw, frame, flags, signature }, database, enqueue);
}

function credentialsOf(request: Request, intake: Intake): Credentials {
  const { certificateHeader, timestampHeader, proxies } = intake;
  const grafana = request.get(GRAFANA_SIGNATURE_HEADER);
  return {
    authorization: request.get("authorization"),
    signature: grafana ?? request.get(SIGNATURE_HEADER),
    timestamp: request.get(grafana === undefined ? TIMESTAMP_HEADER : timestampHeader),
    certificate: certificateHeader === undefined ? undefined : request.get(certificateHeader),
    fromTrustedProxy: proxies.includes(request.socket.remoteAddress),
  };
}

function hasSecretInAddress(request: Request, { log }: Intake): boolean {
  const parameter = SECRET_PARAMETERS.find((name) => request.query[name] !== undefined);
  if (parameter === undefined) return false;
  log.warn("a sender puts a secret into the address: use a header, and replace it", { parameter });
  return true;
}

/** A source that is known and may speak for no namespace. */
function forbidSilenced({ name, namespaces }: Source): void {
  if (namespaces?.length !== 0) return;
  throw new HttpProblem(403, "Forbidden", `The source ${name} may not send alerts.`, {
    Connection: "close",
  });
}

function unauthorized(): HttpProblem {
  return new HttpProblem(
    401,
    "Unauthorized",
    "A bearer token, basic password, signature or certificate of a known sender is needed.",
    {
      "WWW-Authenticate": 'Bearer realm="fettle"',
      Connection: "close", // the rest of the body is not read
    },
  );
}

// 503 and never 429: Alertmanager gives a flush up for good on every 4xx (measured with 0.25).
function unavailable(why: string): HttpProblem {
  return new HttpProblem(503, why, undefined, { "Retry-After": "5" });
}
