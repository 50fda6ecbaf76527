import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { slowness, type StoreFault } from "./s3.ts";

export interface FakeGcs {
  readonly url: string;
  readonly bucket: string;
  readonly objects: ReadonlyMap<string, GcsObject>;
  readonly setFault: (fault: StoreFault) => void;
  readonly stop: () => Promise<void>;
}

interface GcsObject {
  readonly name: string;
  readonly content: Buffer;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retention: Retention | undefined;
  readonly generation: number;
}

interface Retention {
  readonly mode: string;
  readonly retainUntilTime: string;
}

/** An upload in several requests. */
interface Session {
  readonly name: string;
  readonly onlyIfAbsent: boolean;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retention: Retention | undefined;
  content: Buffer;
}

interface State {
  readonly bucket: string;
  readonly objects: Map<string, GcsObject>;
  readonly sessions: Map<string, Session>;
  /** Where it is reached, which may be a proxy. */
  readonly host: (request: IncomingMessage) => string;
  fault: StoreFault;
  generation: number;
}

/** Google Cloud Storage's JSON interface as far as it is used: resumable uploads, CRC32C worked out and compared. */
export async function startGcs(bucket = "diagnostics"): Promise<FakeGcs> {
  const state: State = {
    bucket,
    objects: new Map(),
    sessions: new Map(),
    host: ({ headers }) => `http://${headers.host ?? ""}`,
    fault: { kind: "none" },
    generation: 1,
  };
  const server = createServer((request, response) => {
    answer(request, response, state).catch(() => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    objects: state.objects,
    setFault: (fault) => {
      state.fault = fault;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  state: State,
): Promise<void> {
  const body = await buffer(request);
  const { fault } = state;
  await slowness(fault, body);
  if (fault.kind === "status") {
    refuse(response, fault.status, fault.code);
    return;
  }
  const url = new URL(request.url ?? "/", "http://any");
  const [, bucket, rest = ""] =
    /^\/(?:upload\/|download\/)?storage\/v1\/b\/([^/]+)\/o(?:\/(.*))?$/.exec(url.pathname) ?? [];
  const isUpload = url.pathname.startsWith("/upload/");
  if (bucket !== state.bucket) refuse(response, 404, "The specified bucket does not exist.");
  else if (isUpload) upload({ request, response, url, body }, state);
  else act({ request, response, url, name: decodeURIComponent(rest) }, state);
}

interface Upload {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly body: Buffer;
}

function upload({ request, response, url, body }: Upload, state: State): void {
  const { searchParams: query } = url;
  const id = query.get("upload_id");
  if (id === null) {
    const session = randomUUID();
    const told = JSON.parse(body.toString() || "{}") as {
      metadata?: Record<string, string>;
      retention?: Retention;
    };
    state.sessions.set(session, {
      name: query.get("name") ?? "",
      onlyIfAbsent: query.get("ifGenerationMatch") === "0",
      contentType: String(request.headers["x-upload-content-type"] ?? ""),
      metadata: told.metadata ?? {},
      retention: told.retention,
      content: Buffer.alloc(0),
    });
    response.writeHead(200, {
      location: `${state.host(request)}${url.pathname}?uploadType=resumable&upload_id=${session}`,
    });
    response.end();
    return;
  }
  const session = state.sessions.get(id);
  if (session === undefined) refuse(response, 404, "No such session");
  else receive(session, { request, response, url, body }, state);
}

function receive(session: Session, { request, response, body }: Upload, state: State): void {
  session.content = Buffer.concat([session.content, body]);
  if (isPart(request, body)) {
    response.writeHead(308, { range: `bytes=0-${session.content.length - 1}` });
    response.end();
  } else if (session.onlyIfAbsent && state.objects.has(session.name)) {
    refuse(response, 412, "At least one of the pre-conditions you specified did not hold.");
  } else finish(session, { request, response }, state);
}

/** More is to come: the whole length is not told yet. */
function isPart({ headers }: IncomingMessage, body: Buffer): boolean {
  const range = headers["content-range"] ?? "";
  return range.endsWith("/*") && body.length > 0 && body.length % (256 * 1024) === 0;
}

function finish(
  session: Session,
  { request, response }: Pick<Upload, "request" | "response">,
  state: State,
): void {
  const content = Buffer.from(session.content);
  if (state.fault.kind === "corrupt" && content.length > 0)
    content.writeUInt8((content[0] ?? 0) ^ 1, 0);
  const told = /crc32c=([\w+/=]+)/.exec(String(request.headers["x-goog-hash"] ?? ""))?.[1];
  if (told !== undefined && told !== crc32c(content)) {
    refuse(response, 400, "Provided CRC32C checksum does not match");
    return;
  }
  state.generation += 1;
  const { name, contentType, metadata, retention } = session;
  const { generation } = state;
  const object = { name, content, contentType, metadata, retention, generation };
  state.objects.set(name, object);
  sendJson(response, 200, shown(object, state.bucket));
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly name: string;
}

function act({ request, response, url, name }: Call, state: State): void {
  if (name === "") {
    list(response, url, state);
    return;
  }
  const object = state.objects.get(name);
  if (object === undefined) refuse(response, 404, `No such object: ${name}`);
  else if (request.method === "DELETE" && object.retention !== undefined)
    refuse(
      response,
      403,
      `Object '${state.bucket}/${name}' is subject to object retention and cannot be deleted until ${object.retention.retainUntilTime}`,
    );
  else if (request.method === "DELETE") {
    state.objects.delete(name);
    response.writeHead(204).end();
  } else if (url.searchParams.get("alt") === "media") {
    response.writeHead(200, {
      "content-type": object.contentType,
      "content-length": object.content.length,
      "x-goog-hash": `crc32c=${crc32c(object.content)}`,
    });
    response.end(object.content);
  } else sendJson(response, 200, shown(object, state.bucket));
}

/** Few on a page, so that the next page is asked for. */
const PAGE = 3;

function list(response: ServerResponse, { searchParams: query }: URL, state: State): void {
  const found = [...state.objects.values()]
    .filter(({ name }) => name.startsWith(query.get("prefix") ?? ""))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const start = Number(query.get("pageToken") ?? 0);
  const items = found.slice(start, start + PAGE).map((object) => shown(object, state.bucket));
  const next = start + PAGE < found.length ? { nextPageToken: String(start + PAGE) } : {};
  sendJson(response, 200, { kind: "storage#objects", items, ...next });
}

function shown(object: GcsObject, bucket: string) {
  const { name, content, contentType, metadata, generation, retention } = object;
  return {
    kind: "storage#object",
    retention,
    name,
    bucket,
    contentType,
    metadata,
    generation: String(generation),
    size: String(content.length),
    crc32c: crc32c(content),
    md5Hash: createHash("md5").update(content).digest("base64"),
    etag: `etag-${generation}`,
  };
}

function refuse(response: ServerResponse, code: number, message: string): void {
  sendJson(response, code, { error: { code, message, errors: [{ message }] } });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

const CASTAGNOLI = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) =>
  Array.from({ length: 8 }).reduce<number>(
    (value) => (value & 1 ? (value >>> 1) ^ CASTAGNOLI : value >>> 1),
    byte,
  ),
);

/** Base64 of the four bytes, the highest first. */
function crc32c(content: Buffer): string {
  let value = 0xffffffff;
  for (const byte of content) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((value ^ 0xffffffff) >>> 0);
  return bytes.toString("base64");
}
