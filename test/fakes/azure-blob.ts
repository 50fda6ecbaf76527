import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

interface LockedBlob {
  readonly content: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
  /** Until when, and how strictly; undefined: not locked. */
  readonly lock: { readonly until: string; readonly mode: string } | undefined;
}

export interface FakeAzureBlob {
  readonly connectionString: string;
  readonly blobs: ReadonlyMap<string, LockedBlob>;
  readonly stop: () => Promise<void>;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly query: URLSearchParams;
  readonly name: string;
}

/**
 * Azure Blob Storage with immutability of versions, which the emulator does not know: block blobs, as far as an upload, a look,
 * and a deletion need it. Signatures are not looked at; that is the emulator's part.
 */
export async function startAzureBlob(): Promise<FakeAzureBlob> {
  const blobs = new Map<string, LockedBlob>();
  const blocks = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://any");
      const name = decodeURIComponent(pathname).split("/").slice(3).join("/");
      answer({ request, response, body, query, name }, blobs, blocks);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const key = Buffer.alloc(64, 1).toString("base64");
  return {
    connectionString: `DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=${key};BlobEndpoint=http://127.0.0.1:${port}/acc;`,
    blobs,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function answer(call: Call, blobs: Map<string, LockedBlob>, blocks: Map<string, Buffer>): void {
  const { request, response, query, name } = call;
  const held = blobs.get(name);
  if (request.method === "PUT") {
    if (query.get("comp") === "block") putBlock(call, blocks);
    else if (held !== undefined) refuse(response, 409, "BlobAlreadyExists");
    else {
      blobs.set(name, blobOf(call, blocks));
      response.writeHead(201, { etag: '"1"' }).end();
    }
  } else if (held === undefined) refuse(response, 404, "BlobNotFound");
  else if (request.method !== "DELETE") show(call, held);
  else if (held.lock !== undefined) refuse(response, 409, "BlobImmutableDueToPolicy");
  else {
    blobs.delete(name);
    response.writeHead(202).end();
  }
}

function putBlock({ request, response, body, query }: Call, blocks: Map<string, Buffer>): void {
  const md5 = createHash("md5").update(body).digest("base64");
  if (request.headers["content-md5"] === md5) {
    blocks.set(query.get("blockid") ?? "", body);
    response.writeHead(201).end();
  } else refuse(response, 400, "Md5Mismatch");
}

function show({ request, response }: Call, { content, lock }: LockedBlob): void {
  response.writeHead(200, {
    etag: '"1"',
    "content-length": content.length,
    ...(lock !== undefined && {
      "x-ms-immutability-policy-until-date": lock.until,
      "x-ms-immutability-policy-mode": lock.mode.toLowerCase(),
    }),
  });
  response.end(request.method === "HEAD" ? undefined : content);
}

function blobOf({ request: { headers }, body }: Call, blocks: Map<string, Buffer>): LockedBlob {
  const ids = [...body.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g)].map(([, id]) => id ?? "");
  const until = headers["x-ms-immutability-policy-until-date"];
  const mode = headers["x-ms-immutability-policy-mode"];
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith("x-ms-meta-"))
    .map(([name, value]) => [name.slice("x-ms-meta-".length), String(value)] as const);
  return {
    content: Buffer.concat(ids.map((id) => blocks.get(id) ?? Buffer.alloc(0))),
    metadata: Object.fromEntries(metadata),
    lock: until === undefined ? undefined : { until: String(until), mode: String(mode) },
  };
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml", "x-ms-error-code": code });
  response.end(
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}
