import { request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { TlsOptions } from "./tls-options.ts";

const NO_BODY = new Set([204, 205, 304]);

/** As fetch, to a server whose authority is our own: fetch cannot be given one. It follows no redirect. */
export async function sendTrusting(
  url: string,
  {
    body,
    ...options
  }: Pick<RequestOptions, "method" | "signal"> & {
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
  },
  tls: TlsOptions,
): Promise<Response> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const headers = { ...options.headers, ...length };
    request(url, { ...options, ...tls, headers }, resolve)
      .on("error", reject)
      .end(body);
  });
  const status = answer.statusCode ?? 0;
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers))
    if (typeof value === "string") headers.set(name, value); // cookies are a list, and nobody's business
  if (NO_BODY.has(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status, headers });
}
