import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface AwsKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * Whether a request bears the signature (AWS Signature Version 4) of the key, in its header or in its address. Written after
 * the documentation, and shares nothing with the code that signs.
 *
 * @param body of services other than S3: those take it from the content, whatever a header says of it
 */
export function isSigned(request: IncomingMessage, key: AwsKey, body?: string): boolean {
  const url = new URL(request.url ?? "/", "http://any");
  const inAddress = url.searchParams.get("X-Amz-Signature") !== null;
  const given = inAddress ? fromAddress(url) : fromHeader(request, body === undefined);
  if (given === undefined || !given.scope.startsWith(`${key.accessKeyId}/`)) return false;
  const scope = given.scope.slice(key.accessKeyId.length + 1);
  if (!given.time.startsWith(scope.slice(0, 8))) return false;
  const told = inAddress ? "UNSIGNED-PAYLOAD" : textOf(request.headers["x-amz-content-sha256"]);
  const payload = body === undefined ? told : sha256(body);
  const canonical = [
    request.method,
    (request.url ?? "/").split("?", 1)[0],
    canonicalQuery(url),
    given.signedHeaders.map((name) => `${name}:${textOf(request.headers[name]).trim()}\n`).join(""),
    given.signedHeaders.join(";"),
    payload,
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", given.time, scope, sha256(canonical)].join("\n");
  const signing = scope
    .split("/")
    .reduce<Buffer>(
      (secret, part) => createHmac("sha256", secret).update(part).digest(),
      Buffer.from(`AWS4${key.secretAccessKey}`),
    );
  const expected = createHmac("sha256", signing).update(toSign).digest();
  const signature = Buffer.from(given.signature, "hex");
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

interface Given {
  /** `key/date/region/s3/aws4_request` */
  readonly scope: string;
  readonly time: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

function fromHeader({ headers }: IncomingMessage, isS3: boolean): Given | undefined {
  const [, scope, signed, signature] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  if (scope === undefined || signed === undefined || signature === undefined) return undefined;
  const signedHeaders = signed.split(";");
  // Whoever leaves these out could have them changed by anybody.
  const needed = isS3 ? ["host", "x-amz-content-sha256"] : ["host"];
  if (!needed.every((name) => signedHeaders.includes(name))) return undefined;
  return { scope, time: textOf(headers["x-amz-date"]), signedHeaders, signature };
}

function fromAddress({ searchParams }: URL): Given | undefined {
  const value = (name: string) => searchParams.get(name) ?? "";
  const time = value("X-Amz-Date");
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  const start = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (!(Date.now() < start + Number(value("X-Amz-Expires")) * 1000)) return undefined;
  return {
    scope: value("X-Amz-Credential"),
    time,
    signedHeaders: value("X-Amz-SignedHeaders").split(";"),
    signature: value("X-Amz-Signature"),
  };
}

function canonicalQuery({ searchParams }: URL): string {
  return [...searchParams]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === "string" ? value : "";
}
