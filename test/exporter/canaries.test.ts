import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { exportOnce } from "../../exporter/main.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, filesBelow, folderConfig, sftpVariables } from "./given.ts";

let trail: Trail;
let sftp: SftpServer;

beforeAll(async () => {
  sftp = await startSftpServer();
});
afterAll(async () => sftp.stop());
beforeEach(async () => {
  trail = await givenTrail();
});
afterEach(async () => {
  await trail.remove();
});

const CANARIES = {
  SFTP_PASSWORD: "canary-sftp-password",
  SFTP_PASSPHRASE: "canary-sftp-passphrase",
  FETTLE_PGP_PASSPHRASE: "canary-pgp-passphrase",
  AUDIT_FILENAME_SALT: "canary-salt-0123456789",
  AZURE_CLIENT_SECRET: "canary-azure-secret",
} as const;
/** Nobody listens there; its account key is a canary too. */
const ACCOUNT_KEY = Buffer.from("canary-azure-account-key").toString("base64");
const AZURE = `DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=${ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:1/acc;`;

test("no secret of the exporter is in what it says, writes or sends, whether it goes well or not", async () => {
  const { file: sign } = await givenSigningKey(trail.folder);
  const pem = await readFile(sign, "utf8");
  const log = recordingLog();
  const said: string[] = [];
  const attempt = async (more: Readonly<Record<string, string>>) => {
    const config = await folderConfig(trail.folder, trail.url, {
      ...sftpVariables(sftp),
      ...CANARIES,
      AUDIT_FILENAME_MODE: "hashed",
      AUDIT_SIGNING_KEY_FILE: sign,
      ...more,
    });
    const result: unknown = await exportOnce(config, log).catch((error: unknown) => error);
    said.push(inspect(config), inspect(result, { depth: 9, showHidden: true }));
    return result;
  };
  const kek = async () => readFile(join(trail.folder, "kek"));
  await addRows(trail.client, 3);

  // A password where a key is wanted, a bucket without a server, a database that refuses, and at last an export.
  const failures = [
    await attempt({ SFTP_PRIVATE_KEY: "" }),
    await attempt({ AUDIT_AZURE_BUCKET: "audit", AUDIT_AZURE_CONNECTION_STRING: AZURE }),
    await attempt({ AIOPS_DATABASE_URL: "postgres://u:canary-database@127.0.0.1:1/x" }),
  ];
  const done = await attempt({ SFTP_PASSPHRASE: "" });

  expect(failures.map((failure) => Error.isError(failure))).toEqual([true, true, true]);
  expect(done).toMatchObject({ outcome: "exported", rows: 3 });
  const sent = [
    ...(await filesBelow(join(trail.folder, "out"))),
    ...(await filesBelow(sftp.folder)),
  ];
  expect(sent).toHaveLength(4);
  const tables = ["audit_exports", "audit_export_receipts", "audit_manifests", "runbooks_audit"];
  const stored: string[] = [];
  for (const table of tables) {
    const { rows } = await trail.client.query<{ text: string }>(
      `SELECT t::text AS text FROM ${table} t`,
    );
    stored.push(...rows.map(({ text }) => text));
  }
  const all = [
    log.text(),
    ...said,
    ...sent.map(([, bytes]) => bytes.toString("latin1")),
    ...stored,
  ].join("\n");
  const wrapping = await kek();
  const keys = [wrapping.toString("latin1"), wrapping.toString("hex"), wrapping.toString("base64")];
  const secrets = [...Object.values(CANARIES), "canary", ACCOUNT_KEY, ...keys];
  const pemBody = pem.split("\n")[1] ?? "";
  const sshBody = sftp.privateKey.split("\n")[1] ?? "";
  for (const secret of [...secrets, pemBody, sshBody]) {
    expect([secret, all.includes(secret)]).toEqual([secret, false]);
  }
}, 60_000);
