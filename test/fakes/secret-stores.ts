import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { crc32c } from "../../lib/crc32c.ts";
import { isSigned, type AwsKey } from "./s3-signature.ts";

export interface FakeSecretStore {
  readonly url: string;
  /** What the next answers are: as they should be, refused, or changed on their way. */
  fault: "none" | "refuse" | "corrupt";
  readonly stop: () => Promise<void>;
}

type Handle = (
  request: IncomingMessage,
  body: string,
) => { readonly status: number; readonly body: unknown };

const DENIED = { status: 403, body: { error: { code: 403 }, __type: "AccessDeniedException" } };

async function start(
  handle: Handle,
  tls?: { readonly key: string; readonly cert: string },
): Promise<FakeSecretStore> {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    void text(request).then((sent) => {
      const { status, body } = fake.fault === "refuse" ? DENIED : handle(request, sent);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const fake: FakeSecretStore = {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`,
    fault: "none",
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return fake;
}

/** AWS Secrets Manager with the secret `audit/pgp`; each request must bear a right SigV4 signature. */
export async function startAwsSecrets(account: AwsKey, secret: string): Promise<FakeSecretStore> {
  return start((request, body) => {
    if (!isSigned(request, account, body)) return DENIED;
    const isRight =
      request.headers["x-amz-target"] === "secretsmanager.GetSecretValue" &&
      (JSON.parse(body) as { SecretId?: string }).SecretId === "audit/pgp";
    return isRight
      ? { status: 200, body: { Name: "audit/pgp", SecretString: secret } }
      : { status: 400, body: { __type: "ResourceNotFoundException", message: "no such secret" } };
  });
}

/** Google Secret Manager with the secret `audit-pgp` of project `p`; its checksum is that of what was kept. */
export async function startGcpSecrets(secret: string): Promise<FakeSecretStore> {
  const store = await start((request) => {
    if (request.url !== "/v1/projects/p/secrets/audit-pgp/versions/latest:access")
      return { status: 404, body: { error: { code: 404 } } };
    const kept = Buffer.from(secret);
    const sent = Buffer.from(kept);
    if (store.fault === "corrupt") sent.writeUInt8((sent[40] ?? 0) ^ 1, 40);
    const data = sent.toString("base64");
    return { status: 200, body: { payload: { data, dataCrc32c: String(crc32c(kept)) } } };
  });
  return store;
}

/** Azure Key Vault's secrets, by TLS, with the secret `audit-pgp`, for whoever brings a token. */
export async function startAzureSecrets(
  secret: string,
  tls: { readonly key: string; readonly cert: string },
): Promise<FakeSecretStore> {
  return start(({ headers, url = "" }) => {
    if (headers.authorization === undefined) return { status: 401, body: {} };
    return url === "/secrets/audit-pgp?api-version=7.4"
      ? { status: 200, body: { value: secret } }
      : { status: 404, body: { error: { code: "SecretNotFound" } } };
  }, tls);
}
