import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../../lib/adapters/storage/open.ts";
import { systemClock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/secret.ts";
import { startFaultRelay } from "../../fakes/fault-relay.ts";
import { startGcs } from "../../fakes/gcs.ts";
import { startS3 } from "../../fakes/s3.ts";
import { startTcpProxy } from "../../fakes/tcp-proxy.ts";
import type { GivenStore } from "./given-kinds.ts";
import { givenDropbox, givenGoogleDrive, givenGraph } from "./given-drive.ts";
import { startAzurite } from "../../servers/azurite.ts";

export const CLOUDS: readonly (readonly [string, () => Promise<GivenStore>])[] = [
  ["S3", givenS3],
  ["Google Cloud Storage", givenGcs],
  ["Azure Blob Storage", givenAzure],
  ["Google Drive", givenGoogleDrive],
  ["Dropbox", givenDropbox],
  ["Microsoft Graph", givenGraph],
];

export const STORES: typeof CLOUDS = [["a folder", givenFolder], ...CLOUDS];

async function givenFolder(): Promise<GivenStore> {
  const path = await mkdtemp(join(tmpdir(), "fettle-store-"));
  return {
    store: openStore({ kind: "folder", path: join(path, "not", "there", "yet") }),
    verifies: "size",
    keepsMetadata: false,
    links: false,
    stop: async () => rm(path, { recursive: true }),
  };
}

async function givenS3(): Promise<GivenStore> {
  const server = await startS3();
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(server.url).port) });
  const { accessKeyId, secretAccessKey } = server.key;
  const options = {
    kind: "s3",
    bucket: server.bucket,
    prefix: "fettle/test",
    region: "eu-central-1",
    endpoint: `http://127.0.0.1:${proxy.port}`,
    pathStyle: true,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
    clock: systemClock,
  } as const;
  const wrong = { accessKeyId, secretAccessKey: new Secret("another-secret-key") };
  return {
    store: openStore(options),
    verifies: "sha256",
    keepsMetadata: true,
    links: true,
    leftovers: server.openUploads,
    proxy,
    setFault: server.setFault,
    stranger: openStore({ ...options, credentials: wrong }),
    homeless: openStore({ ...options, bucket: "nobody-has-it" }),
    credential: secretAccessKey,
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

async function givenGcs(): Promise<GivenStore> {
  const server = await startGcs();
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(server.url).port) });
  const options = {
    kind: "gcs",
    bucket: server.bucket,
    prefix: "fettle/test",
    endpoint: `http://127.0.0.1:${proxy.port}`,
    clock: systemClock,
  } as const;
  return {
    store: openStore(options),
    verifies: "crc32c",
    keepsMetadata: true,
    links: false,
    proxy,
    setFault: server.setFault,
    homeless: openStore({ ...options, bucket: "nobody-has-it" }),
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

async function givenAzure(): Promise<GivenStore> {
  const server = await startAzurite();
  const { BlobServiceClient } = await import("@azure/storage-blob");
  await BlobServiceClient.fromConnectionString(server.connectionString()).createContainer(
    "diagnostics",
  );
  const relay = await startFaultRelay(server);
  const proxy = await startTcpProxy(relay);
  const text = server.connectionString(proxy);
  const options = {
    kind: "azure",
    container: "diagnostics",
    prefix: "fettle/test",
    connectionString: new Secret(text),
    accountUrl: undefined,
    clock: systemClock,
  } as const;
  const otherKey = Buffer.from("another key of the same length..").toString("base64");
  const key = /AccountKey=([^;]+)/.exec(text)?.[1] ?? "";
  return {
    store: openStore(options),
    verifies: "md5",
    keepsMetadata: true,
    links: true,
    proxy,
    setFault: relay.setFault,
    stranger: openStore({
      ...options,
      connectionString: new Secret(text.replace(key, otherKey)),
    }),
    homeless: openStore({ ...options, container: "nobody-has-it" }),
    credential: key,
    stop: async () => {
      await proxy.stop();
      await relay.stop();
      await server.stop();
    },
  };
}
