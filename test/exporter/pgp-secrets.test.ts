import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { openSealing } from "../../exporter/adapters/open-sealing.ts";
import { readExporterConfig } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import {
  startAwsSecrets,
  startAzureSecrets,
  startGcpSecrets,
  type FakeSecretStore,
} from "../fakes/secret-stores.ts";
import { programPath } from "../servers/unprivileged.ts";
import { tempFolder } from "./given.ts";

const ACCOUNT = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG" };
const CLOUDS = ["AWS", "GCP", "AZURE"] as const;
type Cloud = (typeof CLOUDS)[number];

let folder: Awaited<ReturnType<typeof tempFolder>>;
let stores: Record<Cloud, FakeSecretStore>;
let fingerprints: Record<Cloud, string>;

beforeAll(async () => {
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = ACCOUNT.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = ACCOUNT.secretAccessKey;
  folder = await tempFolder();
  const [keyFile, certFile] = [join(folder.path, "tls.key"), join(folder.path, "tls.crt")];
  await promisify(execFile)(programPath("OPENSSL"), [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-keyout", keyFile, "-out", certFile, "-days", "2", "-subj", "/CN=stand-in"],
    ...["-addext", "subjectAltName=IP:127.0.0.1"],
  ]);
  const tls = { key: await readFile(keyFile, "utf8"), cert: await readFile(certFile, "utf8") };
  const make = async (name: string) => {
    const { publicKey } = await generateKey({ userIDs: [{ name }], format: "object" });
    return { armored: publicKey.armor(), fingerprint: publicKey.getFingerprint().toUpperCase() };
  };
  const [aws, gcp, azure] = [await make("aws"), await make("gcp"), await make("azure")];
  stores = {
    AWS: await startAwsSecrets(ACCOUNT, aws.armored),
    GCP: await startGcpSecrets(gcp.armored),
    AZURE: await startAzureSecrets(azure.armored, tls),
  };
  fingerprints = { AWS: aws.fingerprint, GCP: gcp.fingerprint, AZURE: azure.fingerprint };
});
afterAll(async () => {
  for (const store of Object.values(stores)) await store.stop();
  await folder.remove();
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
});
beforeEach(() => {
  for (const store of Object.values(stores)) store.fault = "none";
});

const variables = (cloud: Cloud): Record<string, string> =>
  ({
    AWS: {
      AWS_PGP_SECRET_NAME: "audit/pgp",
      AWS_REGION: "eu-central-1",
      AWS_ENDPOINT_URL_SECRETS_MANAGER: stores.AWS.url,
    },
    GCP: {
      GCP_PROJECT_ID: "p",
      GCP_PGP_SECRET_NAME: "audit-pgp",
      GCP_SECRET_MANAGER_ENDPOINT: stores.GCP.url,
    },
    AZURE: {
      AZURE_KEY_VAULT_URL: stores.AZURE.url,
      AZURE_KV_PGP_SECRET_NAME: "audit-pgp",
      AZURE_KV_CA_FILE: join(folder.path, "tls.crt"),
    },
  })[cloud];

const config = (more: Readonly<Record<string, string>>) =>
  readExporterConfig({
    AIOPS_DATABASE_URL: "mock",
    AUDIT_EXPORT_DIR: folder.path,
    AUDIT_ENC_MODE: "pgp",
    ...more,
  });

async function recipientsOf(more: Readonly<Record<string, string>>): Promise<string[]> {
  const { recipients } = await openSealing(config(more), silentLog);
  return recipients.map(({ fingerprint }) => fingerprint);
}

test.each(CLOUDS)("a public key comes from the secret store of %s", async (cloud) => {
  expect(await recipientsOf(variables(cloud))).toEqual([fingerprints[cloud]]);
});

test("keys of several stores are all recipients", async () => {
  const all = Object.assign({}, ...CLOUDS.map(variables)) as Record<string, string>;

  expect(await recipientsOf(all)).toEqual(CLOUDS.map((cloud) => fingerprints[cloud]));
});

test("nobody is asked when AUDIT_PGP_PUBLIC_KEY is set", async () => {
  const { publicKey } = await generateKey({ userIDs: [{ name: "own" }], format: "object" });
  for (const store of Object.values(stores)) store.fault = "refuse";

  expect(
    await recipientsOf({ ...variables("GCP"), AUDIT_PGP_PUBLIC_KEY: publicKey.armor() }),
  ).toEqual([publicKey.getFingerprint().toUpperCase()]);
});

test.each(CLOUDS)("a store of %s that refuses stops the export by its variable", async (cloud) => {
  stores[cloud].fault = "refuse";

  await expect(recipientsOf(variables(cloud))).rejects.toThrow(
    new RegExp(`^${cloud}_\\w*PGP_SECRET_NAME: cannot read the PGP key audit.pgp: `),
  );
});

test("a key that Google's answer changes on its way is refused", async () => {
  stores.GCP.fault = "corrupt";

  await expect(recipientsOf(variables("GCP"))).rejects.toThrow(/changed on its way \(CRC32C\)/);
});

test.each([
  [{ GCP_PGP_SECRET_NAME: "x" }, /GCP_PROJECT_ID: is required/],
  [{ AZURE_KV_PGP_SECRET_NAME: "x" }, /AZURE_KEY_VAULT_URL: is required/],
  [{ AZURE_KEY_VAULT_URL: "http://v" }, /AZURE_KEY_VAULT_URL: must be an https/],
  [{ GCP_SECRET_MANAGER_ENDPOINT: "http://example.com" }, /must be on this machine/],
])("%j is refused", (more, problem) => {
  expect(() => config(more as unknown as Record<string, string>)).toThrow(problem);
});
