import { request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { TlsOptions } from "./tls-options.ts";

const NO_BODY = new Set([204, 205, 304]);

/** As fetch, to a server whose authority is our own: fetch cannot be given one (see prometheus-transport.ts). It follows no redirect. */
export async function sendTrusting(
  url: string,
  {
    body,
    ...options
  }: Pick<RequestOptions, "method" | "signal"> & {
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  },
  tls: TlsOptions,
): Promise<Response> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { ...options.headers, "content-length": String(Buffer.byteLength(body)) };
    request(url, { ...options, ...tls, headers }, resolve)
      .on("error", reject)
      .end(body);
  });
  const status = answer.statusCode ?? 0;
  const headers = new Headers();
  const retryAfter = answer.headers["retry-after"];
  if (retryAfter !== undefined) headers.set("retry-after", retryAfter);
  if (NO_BODY.has(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status, headers });
}
