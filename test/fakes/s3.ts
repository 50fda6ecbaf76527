import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { isSigned, type AwsKey } from "./s3-signature.ts";

/** What an S3 server does with every request until it is told otherwise. */
export type StoreFault =
  | { readonly kind: "none" }
  /** One bit of what arrives is stored as another one. */
  | { readonly kind: "corrupt" }
  /** What brings content is answered so late. */
  | { readonly kind: "slow"; readonly answerMs: number }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code: string;
      /** Of S3: only these requests; all when undefined. */
      readonly methods?: readonly string[];
    };

export interface FakeS3 {
  readonly url: string;
  readonly key: AwsKey;
  readonly bucket: string;
  /** By key. */
  readonly objects: ReadonlyMap<string, StoredObject>;
  /** Uploads in parts that were neither completed nor aborted: they cost money for ever. */
  readonly openUploads: () => number;
  readonly setFault: (fault: StoreFault) => void;
  /** Object Lock that somebody else sets, or takes away. */
  readonly setLock: (key: string, lock: string | undefined) => void;
  /** Nobody may see locks from now on: HEAD leaves them out. */
  readonly hideLocks: () => void;
  /** Keys that were asked to be deleted, in order. */
  readonly markers: readonly string[];
  readonly stop: () => Promise<void>;
}

interface StoredObject {
  readonly content: Buffer;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly etag: string;
  readonly checksum: string | undefined;
  /** Object Lock as it was asked for: its mode, and until when. */
  readonly lock?: string | undefined;
}

interface State {
  readonly bucket: string;
  readonly key: AwsKey;
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, Map<number, Buffer>>;
  readonly markers: string[];
  fault: StoreFault;
  hidesLocks: boolean;
}

/** S3's protocol as far as it is used: it checks each signature and each checksum that it is given, and works out its own. */
export async function startS3(bucket = "diagnostics"): Promise<FakeS3> {
  const key = { accessKeyId: "AKIAFETTLETESTKEY000", secretAccessKey: randomUUID() };
  const state: State = {
    bucket,
    key,
    objects: new Map(),
    uploads: new Map(),
    markers: [],
    fault: { kind: "none" },
    hidesLocks: false,
  };
  const server = createServer((request, response) => {
    answer(request, response, state).catch(() => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    key,
    bucket,
    objects: state.objects,
    openUploads: () => state.uploads.size,
    setFault: (fault) => {
      state.fault = fault;
    },
    markers: state.markers,
    hideLocks: () => {
      state.hidesLocks = true;
    },
    setLock: (key, lock) => {
      const object = state.objects.get(key) as StoredObject;
      state.objects.set(key, { ...object, lock });
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** No request without content is so large. */
const CONTENT_BYTES_MIN = 100_000;

/** Keeps no process alive. */
export async function slowness(fault: StoreFault, body: Buffer): Promise<void> {
  if (fault.kind === "slow" && body.length > CONTENT_BYTES_MIN)
    await sleep(fault.answerMs, undefined, { ref: false });
}

class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  state: State,
): Promise<void> {
  const body = await buffer(request);
  try {
    const { fault } = state;
    await slowness(fault, body);
    if (fault.kind === "status" && fault.methods?.includes(request.method ?? "") !== false)
      throw new S3Error(fault.status, fault.code);
    if (!isSigned(request, state.key)) throw new S3Error(403, "SignatureDoesNotMatch");
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://any");
    const [, bucket, ...rest] = pathname.split("/").map(decodeURIComponent);
    if (bucket !== state.bucket) throw new S3Error(404, "NoSuchBucket");
    checkPayload(request, body);
    act({ request, response, body, query, key: rest.join("/") }, state);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    const text = `<?xml version="1.0"?><Error><Code>${error.code}</Code><Message>${error.code}</Message></Error>`;
    response.writeHead(error.status, { "content-type": "application/xml" });
    response.end(request.method === "HEAD" ? undefined : text);
  }
}

/** The hash of the body that was signed. */
function checkPayload({ headers }: IncomingMessage, body: Buffer): void {
  const told = headers["x-amz-content-sha256"];
  if (typeof told !== "string" || !/^[0-9a-f]{64}$/.test(told)) return; // UNSIGNED-PAYLOAD
  if (createHash("sha256").update(body).digest("hex") !== told)
    throw new S3Error(400, "XAmzContentSHA256Mismatch");
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly query: URLSearchParams;
  readonly key: string;
}

function act(call: Call, state: State): void {
  const { request, query } = call;
  const about = ["uploads", "uploadId", "retention"].filter((name) => query.has(name));
  const operation = OPERATIONS[[request.method, ...about].join(" ")];
  if (operation === undefined) throw new S3Error(501, "NotImplemented");
  operation(call, state);
}

const OPERATIONS: Readonly<Record<string, ((call: Call, state: State) => void) | undefined>> = {
  PUT: putObject,
  "POST uploads": begin,
  "PUT uploadId": putPart,
  "POST uploadId": complete,
  "DELETE uploadId": ({ response, query }, { uploads }) => {
    uploads.delete(query.get("uploadId") ?? "");
    response.writeHead(204).end();
  },
  GET: (call, state) => {
    if (call.key === "") list(call, state);
    else getObject(call, state);
  },
  "GET retention": getRetention,
  HEAD: getObject,
  // As with Object Lock, which takes versions: what is locked is hidden by a marker, and the answer is the same.
  DELETE: ({ response, key }, { objects, markers }) => {
    if (objects.has(key)) markers.push(key);
    if (objects.get(key)?.lock === undefined) objects.delete(key);
    response.writeHead(204).end();
  },
};

function begin({ response, key }: Call, { bucket, uploads }: State): void {
  const id = randomUUID();
  uploads.set(id, new Map());
  sendXml(
    response,
    `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
  );
}

/** What arrives, as the fault leaves it, after the sender's own checksum was compared. */
function received({ request: { headers }, body }: Call, { fault }: State): Buffer {
  const content = Buffer.from(body);
  if (fault.kind === "corrupt" && content.length > 0) content.writeUInt8((content[0] ?? 0) ^ 1, 0);
  const told = headers["x-amz-checksum-sha256"];
  if (told !== undefined && told !== sha256(content)) throw new S3Error(400, "BadDigest");
  return content;
}

function putObject(call: Call, state: State): void {
  const { request, response, key } = call;
  if (request.headers["if-none-match"] === "*" && state.objects.has(key))
    throw new S3Error(412, "PreconditionFailed");
  const content = received(call, state);
  const etag = `"${createHash("md5").update(content).digest("hex")}"`;
  const checksum = sha256(content);
  state.objects.set(key, { content, etag, checksum, ...described(request) });
  response.writeHead(200, { etag, "x-amz-checksum-sha256": checksum }).end();
}

function described({ headers }: IncomingMessage) {
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith("x-amz-meta-"))
    .map(([name, value]) => [name.slice("x-amz-meta-".length), String(value)]);
  const mode = headers["x-amz-object-lock-mode"];
  const until = headers["x-amz-object-lock-retain-until-date"];
  return {
    ...(mode === undefined ? {} : { lock: `${String(mode)} ${String(until)}` }),
    contentType: headers["content-type"] ?? "",
    metadata: Object.fromEntries(metadata) as Record<string, string>,
  };
}

const PART_BYTES_MIN = 5 * 1024 * 1024;

function putPart(call: Call, state: State): void {
  const parts = state.uploads.get(call.query.get("uploadId") ?? "");
  if (parts === undefined) throw new S3Error(404, "NoSuchUpload");
  const content = received(call, state);
  parts.set(Number(call.query.get("partNumber")), content);
  const etag = `"${createHash("md5").update(content).digest("hex")}"`;
  call.response.writeHead(200, { etag, "x-amz-checksum-sha256": sha256(content) }).end();
}

function complete(call: Call, state: State): void {
  const { request, response, body, query, key } = call;
  const id = query.get("uploadId") ?? "";
  const parts = state.uploads.get(id);
  if (parts === undefined) throw new S3Error(404, "NoSuchUpload");
  if (request.headers["if-none-match"] === "*" && state.objects.has(key))
    throw new S3Error(412, "PreconditionFailed");
  const told = [...body.toString().matchAll(/<ChecksumSHA256>([^<]+)<\/ChecksumSHA256>/g)];
  const contents = [...parts].sort(([a], [b]) => a - b).map(([, content]) => content);
  if (contents.slice(0, -1).some(({ length }) => length < PART_BYTES_MIN))
    throw new S3Error(400, "EntityTooSmall");
  if (told.length !== contents.length || told.some(([, sum], at) => sum !== sha256(contents[at])))
    throw new S3Error(400, "InvalidPart");
  const digests = contents.map((content) => createHash("sha256").update(content).digest());
  const checksum = `${sha256(Buffer.concat(digests))}-${contents.length}`;
  const etag = `"${randomUUID()}-${contents.length}"`;
  const content = Buffer.concat(contents);
  state.objects.set(key, { content, etag, checksum, contentType: "", metadata: {} });
  state.uploads.delete(id);
  sendXml(
    response,
    `<CompleteMultipartUploadResult><Bucket>${state.bucket}</Bucket><Key>${key}</Key><ETag>${etag}</ETag><ChecksumSHA256>${checksum}</ChecksumSHA256></CompleteMultipartUploadResult>`,
  );
}

function getRetention({ response, key }: Call, { objects, hidesLocks }: State): void {
  if (hidesLocks) throw new S3Error(403, "AccessDenied");
  const object = objects.get(key);
  if (object === undefined) throw new S3Error(404, "NoSuchKey");
  const [mode, until] = (object.lock ?? "").split(" ");
  if (until === undefined) throw new S3Error(404, "NoSuchObjectLockConfiguration");
  sendXml(
    response,
    `<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`,
  );
}

function getObject({ request, response, key }: Call, { objects, hidesLocks }: State): void {
  const object = objects.get(key);
  if (object === undefined) throw new S3Error(404, "NoSuchKey");
  response.writeHead(200, {
    etag: object.etag,
    "content-length": object.content.length,
    "content-type": object.contentType,
    ...(hidesLocks ? {} : lockHeaders(object)),
    ...(request.headers["x-amz-checksum-mode"] === undefined || object.checksum === undefined
      ? {}
      : { "x-amz-checksum-sha256": object.checksum }),
    ...Object.fromEntries(
      Object.entries(object.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]),
    ),
  });
  response.end(request.method === "HEAD" ? undefined : object.content);
}

function lockHeaders({ lock }: StoredObject): Record<string, string> {
  const [mode, until] = (lock ?? "").split(" ");
  if (mode === undefined || until === undefined) return {};
  return { "x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until };
}

/** Few on a page, so that the next page is asked for. */
const PAGE = 3;

function list({ response, query }: Call, { objects }: State): void {
  const keys = [...objects.keys()]
    .filter((key) => key.startsWith(query.get("prefix") ?? ""))
    .sort();
  const start = Number(query.get("continuation-token") ?? 0);
  const shown = keys.slice(start, start + PAGE);
  const more = start + PAGE < keys.length;
  const contents = shown
    .map((key) => {
      const size = objects.get(key)?.content.length ?? 0;
      return `<Contents><Key>${key}</Key><Size>${size}</Size></Contents>`;
    })
    .join("");
  const next = more ? `<NextContinuationToken>${start + PAGE}</NextContinuationToken>` : "";
  sendXml(
    response,
    `<ListBucketResult><IsTruncated>${String(more)}</IsTruncated>${next}${contents}</ListBucketResult>`,
  );
}

function sendXml(response: ServerResponse, text: string): void {
  response.writeHead(200, { "content-type": "application/xml" });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${text}`);
}

function sha256(content: Buffer | undefined): string {
  return createHash("sha256")
    .update(content ?? "")
    .digest("base64");
}
