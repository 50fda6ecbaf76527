import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { PrometheusAccess } from "../../lib/access.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { prometheusHeaders } from "../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import { QueryError } from "../faults.ts";
import { readCapped } from "./read-capped.ts";

interface Reply {
  readonly status: number;
  readonly text: string;
  /** How far our wall clock is ahead of the server's; undefined when it does not say the time. */
  readonly aheadMs: number | undefined;
}

/** Posts a form and gives back the status and the whole text. Rejects with a QueryError. */
export type Transport = (
  path: string,
  form: URLSearchParams,
  signal: AbortSignal,
) => Promise<Reply>;

export interface TransportDeps {
  readonly answerBytesMax: number;
  readonly log: Log | undefined;
  /** The wall clock, also when the detector lives faster: the server's `Date` is compared with it. */
  readonly clock: Pick<Clock, "now">;
}

/**
 * Node's own HTTP client and not fetch: fetch cannot be given a certificate or an authority without the package undici,
 * whose agents the fetch of Node 24 refuses. It follows no redirect, so the credential goes to the configured server only.
 */
export function openTransport(access: PrometheusAccess, deps: TransportDeps): Transport {
  const { answerBytesMax, clock } = deps;
  const base = new URL(`${access.url}/`);
  const headers = {
    accept: "application/json",
    "accept-encoding": "gzip",
    "content-type": "application/x-www-form-urlencoded",
    ...prometheusHeaders(access),
  };
  const secure = base.protocol === "https:";
  const tls = followTlsFiles(access.tls, { ...deps, owner: "Prometheus" });
  const agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const request = secure ? httpsRequest : httpRequest;
  return async (path, form, signal) => {
    const body = form.toString(); // posted: a long expression does not fit into a URL
    const length = { "content-length": Buffer.byteLength(body) };
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const target = new URL(`.${path}`, base);
        const options = { method: "POST", agent, signal, headers: { ...headers, ...length } };
        request(target, { ...options, ...tls() }, resolve)
          .on("error", reject)
          .end(body);
      });
      const aheadMs = aheadOf(response.headers.date, clock.now());
      const text = await readCapped(unpacked(response), answerBytesMax);
      return { status: response.statusCode ?? 0, text, aheadMs };
    } catch (error) {
      if (error instanceof QueryError) throw error;
      throw new QueryError("unavailable", `Prometheus does not answer ${path}`, {
        cause: error,
        retryable: true,
      });
    }
  };
}

function aheadOf(date: string | undefined, now: Date): number | undefined {
  const served = Date.parse(date ?? "");
  return Number.isNaN(served) ? undefined : now.getTime() - served;
}

/** The limit counts what comes out of the unpacking: a bomb ends there too. */
function unpacked(response: IncomingMessage): AsyncIterable<Uint8Array> {
  if (response.headers["content-encoding"] !== "gzip") return response;
  // A broken connection destroys the unpacking as well, whose reader then sees the error.
  return pipeline(response, createGunzip(), () => undefined);
}
