import {
  constants,
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { crc32c } from "../../lib/crc32c.ts";
import { isSigned, type AwsKey } from "./s3-signature.ts";

/** `corrupt`: the answer's bytes are changed on their way; `hang`: it accepts and never answers. */
type KmsFault = "none" | "down" | "hang" | "corrupt" | "refuse";

export interface FakeKms {
  readonly url: string;
  readonly calls: string[];
  fault: KmsFault;
  readonly stop: () => Promise<void>;
}

type Answer = { readonly status: number; readonly body: unknown; readonly challenge?: string };
type Handle = (request: IncomingMessage, body: Record<string, unknown>, sent: string) => Answer;

async function start(
  handle: Handle,
  corrupt: (body: unknown) => unknown,
  tls?: { readonly key: string; readonly cert: string },
): Promise<FakeKms> {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    void answer(request, response);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  const fake: { -readonly [K in keyof FakeKms]: FakeKms[K] } = {
    url: "",
    calls: [],
    fault: "none",
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (fake.fault === "hang") return;
    if (fake.fault === "down") {
      request.socket.destroy();
      return;
    }
    const isRead = request.method === "GET";
    const sent = await text(request); // empty where the client first asks what token is wanted
    const body = (sent === "" ? {} : JSON.parse(sent)) as Record<string, unknown>;
    fake.calls.push(
      `${request.method ?? ""} ${String(request.headers["x-amz-target"] ?? request.url)}`,
    );
    const given: Answer =
      fake.fault === "refuse"
        ? {
            status: 403,
            body: { error: { code: 403, message: "not allowed" }, message: "not allowed" },
          }
        : handle(request, body, sent);
    const shown =
      fake.fault === "corrupt" && !isRead && given.status === 200
        ? corrupt(given.body)
        : given.body;
    const { challenge } = given;
    response.writeHead(given.status, {
      "content-type": "application/json",
      ...(challenge !== undefined && { "www-authenticate": challenge }),
    });
    response.end(JSON.stringify(shown));
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  fake.url = `http${tls === undefined ? "" : "s"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return fake;
}

/** The service's own key: what it wraps is opaque to everybody else. */
function createVault() {
  const key = randomBytes(32);
  return {
    /** @param context must be given again to open it */
    seal: (plaintext: Buffer, context?: unknown): Buffer => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(canonical(context));
      return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    },
    open: (sealed: Buffer, context?: unknown): Buffer | undefined => {
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
      decipher.setAAD(canonical(context));
      decipher.setAuthTag(sealed.subarray(-16));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}

/** The order of a context's members says nothing. */
function canonical(context: unknown): Buffer {
  const pairs = Object.entries((context ?? {}) as Record<string, string>);
  return Buffer.from(JSON.stringify(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function flipped(base64: unknown): string {
  const bytes = Buffer.from(String(base64), "base64");
  bytes.writeUInt8((bytes[20] ?? 0) ^ 1, 20);
  return bytes.toString("base64");
}

const ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/** AWS KMS: Encrypt and Decrypt in its JSON 1.1 protocol; each request must bear a right SigV4 signature. */
export async function startAwsKms(account: AwsKey): Promise<FakeKms & { readonly keyArn: string }> {
  const vault = createVault();
  const refused = (type: string, message = type): Answer => ({
    status: 400,
    body: { __type: type, message },
  });
  const fake = await start(
    (request, body, sent) => {
      if (!isSigned(request, account, sent)) return refused("InvalidSignatureException");
      const isEncrypt = request.headers["x-amz-target"] === "TrentService.Encrypt";
      const known = [ARN, "alias/audit", ...(isEncrypt ? [] : [undefined])]; // the ciphertext names its key
      if (!known.includes(body["KeyId"] as string | undefined)) return refused("NotFoundException");
      const context = body["EncryptionContext"];
      if (isEncrypt) {
        const sealed = vault.seal(Buffer.from(String(body["Plaintext"]), "base64"), context);
        return { status: 200, body: { CiphertextBlob: sealed.toString("base64"), KeyId: ARN } };
      }
      const opened = vault.open(Buffer.from(String(body["CiphertextBlob"]), "base64"), context);
      if (opened === undefined) return refused("InvalidCiphertextException");
      return { status: 200, body: { Plaintext: opened.toString("base64"), KeyId: ARN } };
    },
    (body) => {
      const { CiphertextBlob, Plaintext } = body as Record<string, unknown>;
      const change =
        CiphertextBlob === undefined
          ? { Plaintext: flipped(Plaintext) }
          : { CiphertextBlob: flipped(CiphertextBlob) };
      return { ...(body as object), ...change };
    },
  );
  return Object.assign(fake, { keyArn: ARN });
}

const GCP_KEY = "projects/p/locations/global/keyRings/my-keyring/cryptoKeys/my-key";

/** Google Cloud KMS over REST: the key's third version is the primary one; checksums are worked out and compared. */
export async function startGcpKms(): Promise<FakeKms & { readonly keyName: string }> {
  const vault = createVault();
  const wrong = (message: string): Answer => ({
    status: 400,
    body: { error: { code: 400, message, status: "INVALID_ARGUMENT" } },
  });
  const fake = await start(
    (request, body) => {
      const path = (request.url ?? "").split("?", 1)[0];
      const bytes = Buffer.from(String(body["plaintext"] ?? body["ciphertext"]), "base64");
      const checksum = body["plaintextCrc32c"] ?? body["ciphertextCrc32c"];
      if (String(checksum) !== String(crc32c(bytes))) return wrong("checksum");
      if (path === `/v1/${GCP_KEY}:encrypt`) {
        const sealed = vault.seal(bytes);
        return {
          status: 200,
          body: {
            name: `${GCP_KEY}/cryptoKeyVersions/3`,
            ciphertext: sealed.toString("base64"),
            ciphertextCrc32c: String(crc32c(sealed)),
            verifiedPlaintextCrc32c: true,
          },
        };
      }
      if (path !== `/v1/${GCP_KEY}:decrypt`) return wrong(`no such key: ${path ?? ""}`);
      const opened = vault.open(bytes);
      if (opened === undefined) return wrong("Decryption failed: the ciphertext is invalid.");
      return {
        status: 200,
        body: { plaintext: opened.toString("base64"), plaintextCrc32c: String(crc32c(opened)) },
      };
    },
    (body) => {
      const { ciphertext, plaintext } = body as Record<string, unknown>;
      const change =
        ciphertext === undefined
          ? { plaintext: flipped(plaintext) }
          : { ciphertext: flipped(ciphertext) };
      return { ...(body as object), ...change };
    },
  );
  return Object.assign(fake, { keyName: GCP_KEY });
}

const CHALLENGE: Answer = {
  status: 401,
  body: { error: { code: "Unauthorized", message: "no token" } },
  challenge: `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`,
};
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };

function answerByKey(
  { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  kid: string,
  operation: string,
  body: Record<string, unknown>,
): Answer {
  if (operation === "") {
    const { n, e } = publicKey.export({ format: "jwk" });
    const key = { kid, kty: "RSA", n, e, key_ops: ["wrapKey", "unwrapKey"] };
    return { status: 200, body: { key, attributes: { enabled: true } } };
  }
  const wrong = { status: 400, body: { error: { code: "BadParameter", message: "refused" } } };
  if (body["alg"] !== "RSA-OAEP-256") return wrong;
  const value = Buffer.from(String(body["value"]), "base64url");
  try {
    const result =
      operation === "wrapkey"
        ? publicEncrypt({ key: publicKey, ...OAEP }, value)
        : privateDecrypt({ key: privateKey, ...OAEP }, value);
    return { status: 200, body: { kid, value: result.toString("base64url") } };
  } catch {
    return wrong;
  }
}

/** Azure Key Vault: an RSA key with two versions, reached by TLS: the client answers its challenge over https only. */
export async function startAzureVault(tls: {
  readonly key: string;
  readonly cert: string;
}): Promise<FakeKms & { readonly rotate: () => void }> {
  const versions = ["v1", "v2"].map((version) => ({
    version,
    ...generateKeyPairSync("rsa", { modulusLength: 2048 }),
  }));
  let current = "v1";
  const fake = await start(
    ({ headers, url = "" }, body) => {
      if (headers.authorization === undefined) return CHALLENGE;
      const [, keys, name, version, operation = ""] = (url.split("?", 1)[0] ?? "").split("/");
      const wanted = (version ?? "") === "" ? current : version;
      const key = versions.find((each) => each.version === wanted);
      if (`${keys ?? ""}/${name ?? ""}` !== "keys/audit" || key === undefined) {
        return { status: 404, body: { error: { code: "KeyNotFound", message: "no such key" } } };
      }
      return answerByKey(key, `${fake.url}/keys/audit/${key.version}`, operation, body);
    },
    (body) => ({
      ...(body as object),
      value: flipped((body as { value: string }).value.replaceAll("-", "+").replaceAll("_", "/"))
        .replaceAll("+", "-")
        .replaceAll("/", "_")
        .replaceAll("=", ""),
    }),
    tls,
  );
  return Object.assign(fake, {
    rotate: () => {
      current = "v2";
    },
  });
}
