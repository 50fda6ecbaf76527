import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { decryptFile, exportOnce, readKmsConfig } from "../../exporter/main.ts";
import { openWrappers } from "../../lib/adapters/kms/open.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { KeyWrapper } from "../../lib/envelope/types.ts";
import { silentLog } from "../../lib/log.ts";
import { startAwsKms, startAzureVault, startGcpKms, type FakeKms } from "../fakes/kms.ts";
import { programPath } from "../servers/unprivileged.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, column, folderConfig, parseCsv, tempFolder } from "./given.ts";

const ACCOUNT = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG" };

let aws: Awaited<ReturnType<typeof startAwsKms>>;
let gcp: Awaited<ReturnType<typeof startGcpKms>>;
let azure: Awaited<ReturnType<typeof startAzureVault>>;
let trail: Trail;

let certificate: { key: string; cert: string; certFile: string };
let certificates: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  certificates = await tempFolder();
  certificate = await selfSigned(certificates.path);
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = ACCOUNT.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = ACCOUNT.secretAccessKey;
});
afterAll(async () => {
  await certificates.remove();
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
});
beforeEach(async () => {
  aws = await startAwsKms(ACCOUNT);
  gcp = await startGcpKms();
  azure = await startAzureVault(certificate);
  trail = await givenTrail();
});
afterEach(async () => {
  await trail.remove();
  for (const fake of [aws, gcp, azure]) await fake.stop();
});

async function selfSigned(place: string) {
  const [keyFile, certFile] = [join(place, "tls.key"), join(place, "tls.crt")];
  await promisify(execFile)(programPath("OPENSSL"), [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-keyout", keyFile, "-out", certFile, "-days", "2", "-subj", "/CN=stand-in"],
    ...["-addext", "subjectAltName=IP:127.0.0.1"],
  ]);
  return { key: await readFile(keyFile, "utf8"), cert: await readFile(certFile, "utf8"), certFile };
}

const variables = () => ({
  AWS_KMS_KEY_ID: "alias/audit",
  AWS_REGION: "eu-central-1",
  AWS_ENDPOINT_URL_KMS: aws.url,
  GCP_KMS_KEY: gcp.keyName,
  GCP_KMS_ENDPOINT: gcp.url,
  AZURE_KV_KEY_ID: `${azure.url}/keys/audit`,
  AZURE_KV_CA_FILE: certificate.certFile,
});

const config = async (more: Readonly<Record<string, string>> = {}) =>
  folderConfig(trail.folder, trail.url, { ...variables(), AUDIT_LOCAL_KEY_FILE: "", ...more });

interface Envelope {
  readonly wrapped_keys: Record<string, string>;
  readonly key_ids: Record<string, string>;
}

async function envelopeAt(location = ""): Promise<Envelope> {
  return JSON.parse(await readFile(location, "utf8")) as Envelope;
}

const CLOUDS = ["aws_kms", "gcp_kms", "azure_kv"] as const;

/** Only the variables of one cloud. */
function onlyFor(cloud: (typeof CLOUDS)[number]) {
  const prefix = { aws_kms: "AWS_", gcp_kms: "GCP_", azure_kv: "AZURE_" }[cloud];
  return Object.fromEntries(
    Object.entries(variables()).filter(([name]) => name.startsWith(prefix)),
  );
}

test("three clouds wrap one data key, the envelope names their key versions, and each alone opens it", async () => {
  await addRows(trail.client, 3, "in the clouds");

  const { receipts } = await exportOnce(await config(), silentLog);

  const location = receipts[0]?.location ?? "";
  const envelope = await envelopeAt(location);
  expect(Object.keys(envelope.wrapped_keys)).toEqual([...CLOUDS]);
  expect(envelope.key_ids).toEqual({
    aws_kms: aws.keyArn,
    gcp_kms: `${gcp.keyName}/cryptoKeyVersions/3`,
    azure_kv: `${azure.url}/keys/audit/v1`,
  });
  azure.rotate();
  for (const cloud of CLOUDS) {
    const output = join(trail.folder, cloud);
    await decryptFile({ file: location, kms: readKmsConfig(onlyFor(cloud)), output });
    const rows = parseCsv(await readFile(output, "utf8"));
    expect(column(rows, "actor")).toEqual(["in the clouds", "in the clouds", "in the clouds"]);
  }
});

test("an encryption context of AWS is bound to the key: without it, or with another one, the file stays closed", async () => {
  await addRows(trail.client, 1, "in context");
  const context = { AWS_KMS_ENCRYPTION_CONTEXT: "app=fettle, purpose=audit=trail" };
  const only = { GCP_KMS_KEY: "", AZURE_KV_KEY_ID: "" };

  const { receipts } = await exportOnce(await config({ ...context, ...only }), silentLog);

  const file = receipts[0]?.location ?? "";
  const bound = { app: "fettle", purpose: "audit=trail" };
  expect(await envelopeAt(file)).toMatchObject({ encryption_context: { aws_kms: bound } });
  const openWith = async (more: Readonly<Record<string, string>>) => {
    const kms = readKmsConfig({ ...onlyFor("aws_kms"), ...more });
    return decryptFile({ file, kms, output: join(trail.folder, "opened") });
  };
  await expect(openWith({})).rejects.toThrow(
    "InvalidCiphertextException (it was wrapped with AWS_KMS_ENCRYPTION_CONTEXT=app=fettle,purpose=audit=trail)",
  );
  await expect(openWith({ AWS_KMS_ENCRYPTION_CONTEXT: "app=other" })).rejects.toThrow("Invalid");
  await openWith({ AWS_KMS_ENCRYPTION_CONTEXT: "purpose=audit=trail,app=fettle" });
  const rows = parseCsv(await readFile(join(trail.folder, "opened"), "utf8"));
  expect(column(rows, "actor")).toEqual(["in context"]);
});

test("an encryption context that is no list of pairs is refused by its variable", () => {
  expect(() => readKmsConfig({ AWS_KMS_ENCRYPTION_CONTEXT: "app" })).toThrow(
    /AWS_KMS_ENCRYPTION_CONTEXT: must be name=value pairs/,
  );
});

const fakeOf = (cloud: (typeof CLOUDS)[number]): FakeKms =>
  ({ aws_kms: aws, gcp_kms: gcp, azure_kv: azure })[cloud];

test.each(
  CLOUDS.flatMap((cloud) =>
    (["down", "refuse", "corrupt"] as const).map((fault) => [cloud, fault] as const),
  ),
)(
  "with %s %s nothing is exported unless a quorum allows it, and nothing half-written stays",
  async (cloud, fault) => {
    await addRows(trail.client, 2);
    fakeOf(cloud).fault = fault;

    await expect(exportOnce(await config(), silentLog)).rejects.toThrow(
      new RegExp(`wrapping key ${cloud} .*2 of 3 wrapping keys`, "s"),
    );
    expect(await readdir(join(trail.folder, "work"))).toEqual([]);
    const result = await exportOnce(await config({ AUDIT_KMS_QUORUM: "2" }), silentLog);

    expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 2 });
    const { wrapped_keys: wrapped } = await envelopeAt(result.receipts[0]?.location);
    expect(Object.keys(wrapped)).toEqual(CLOUDS.filter((each) => each !== cloud));
  },
);

test.each(CLOUDS)("%s that accepts and never answers is given up in seconds", async (cloud) => {
  fakeOf(cloud).fault = "hang";
  const [wrapper] = await openWrappers(readKmsConfig(onlyFor(cloud)));
  const start = Date.now();

  await expect(wrapper?.wrap(randomBytes(32))).rejects.toThrow();

  expect(Date.now() - start).toBeLessThan(25_000); // 5 to 12 s by design; the defaults wait for more than 60
});

test("a changed wrapped key, and one of another key, are refused", async () => {
  const wrappers = await openWrappers(readKmsConfig(variables()));
  const dek = randomBytes(32);
  for (const wrapper of wrappers) {
    const { wrapped, keyId } = await wrapper.wrap(dek);
    expect(await wrapper.unwrap(wrapped, keyId)).toEqual(dek);
    const changed = Buffer.from(wrapped);
    changed.writeUInt8((changed[25] ?? 0) ^ 1, 25);
    await expect(wrapper.unwrap(changed, keyId)).rejects.toThrow();
  }
  const vault: KeyWrapper | undefined = wrappers[2];
  await expect(vault?.unwrap(dek, "https://evil.example/keys/audit/v1")).rejects.toThrow(
    "wrong key",
  );
});

test("an AWS account that is not the key's is refused, as its signature is not right", async () => {
  process.env["AWS_SECRET_ACCESS_KEY"] = "wrong";
  const [wrapper] = await openWrappers(readKmsConfig(onlyFor("aws_kms")));

  await expect(wrapper?.wrap(randomBytes(32))).rejects.toThrow("InvalidSignature");

  process.env["AWS_SECRET_ACCESS_KEY"] = ACCOUNT.secretAccessKey;
});

test("without the right to decrypt the self-test can be left out", async () => {
  await addRows(trail.client, 1);
  const seen = () => aws.calls.filter((call) => call.endsWith("Decrypt")).length;

  await exportOnce(await config({ AUDIT_KMS_SELFTEST: "off" }), silentLog);

  expect([seen(), aws.calls]).toEqual([0, ["POST TrentService.Encrypt"]]);
});

test("CRC32C has the check value of its definition", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});
