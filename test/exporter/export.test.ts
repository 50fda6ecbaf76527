import { readdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { postgresSource } from "../../exporter/adapters/postgres-source.ts";
import { decryptFile, exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { startGnupg } from "../servers/gnupg.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { openEnvelopeByPython } from "../servers/python.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import {
  addRows,
  insertRows,
  column,
  connectTo,
  filesBelow,
  folderConfig,
  parseCsv,
  rowsOf,
  sftpVariables,
} from "./given.ts";
import { openTestDatabase } from "../servers/postgres.ts";

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

const NASTY: readonly (string | null)[] = [
  null,
  "",
  " ",
  'say "hi"',
  "a,b",
  "line\nbreak",
  "line\r\nbreak",
  "bare\rreturn",
  "\\.",
  "\\N",
  "NULL",
  "=1+1",
  "+1",
  "-1",
  "@cmd",
  "\ttab",
  "'=already",
  "''=twice",
  "'quote",
  "＝full-width",
  "žut 🛠 \u2028 \u202e rtl",
  "'",
];

test("every nasty value comes back through COPY, OpenPGP, envelope, SFTP, gpg and Python", async () => {
  for (const value of NASTY) {
    await trail.client.query(
      "INSERT INTO runbooks_audit (event, actor, action, detail) VALUES ('request', 'a', $1, $2)",
      [value, JSON.stringify({ value })],
    );
  }
  await trail.client.query(
    "INSERT INTO runbooks_audit (ts, event, actor, detail) VALUES ('infinity', 'x', 'a', '12345678901234567890'), ('2025-01-02 03:04:05.000001+02', 'x', 'a', '-5')",
  );
  const key = await generateKey({ userIDs: [{ name: "Auditor" }] });
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY: key.publicKey,
    ...sftpVariables(sftp),
  });

  const result = await exportOnce(config, silentLog);

  expect(result).toMatchObject({ outcome: "exported", resumed: false, rows: NASTY.length + 2 });
  expect(result.receipts.map(({ verifiedBy }) => verifiedBy)).toEqual([
    "read-back-sha256",
    "read-back-sha256",
  ]);
  const [file] = result.files;
  expect(file?.name).toMatch(/^audit-\d{8}\.csv\.gpg\.envelope\.json$/);
  const envelope = join(sftp.folder, file?.name ?? "");
  const message = await openEnvelopeByPython(
    envelope,
    join(trail.folder, "kek"),
    join(trail.folder, "python"),
  );
  const gnupg = await startGnupg();
  await gnupg.importKey(key.privateKey);
  const csv = await gnupg.decryptFile(message);
  await gnupg.stop();

  const rows = parseCsv(csv.toString("utf8"));
  const unescape = (value: string | null) =>
    value?.replace(/^'(?='*[=+@\t\r\n＝＋－＠-])/, "") ?? null;
  expect(column(rows, "action").slice(0, NASTY.length).map(unescape)).toEqual(NASTY);
  expect(column(rows, "action")).toContain("'=1+1");
  expect(column(rows, "action")).toContain("''=already");
  expect(column(rows, "detail").slice(-2)).toEqual(["12345678901234567890", "'-5"]);
  expect(column(rows, "ts").slice(-2)).toEqual(["infinity", "2025-01-02T01:04:05.000001Z"]);
  expect(column(rows, "ts")[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/);
  await unlink(envelope);
});

test("the whole way back by fettle decrypt gives the same CSV, and no plaintext stays anywhere", async () => {
  await addRows(trail.client, 50, "plaintext-marker");
  const key = await generateKey({ userIDs: [{ name: "Auditor" }] });
  await writeFile(join(trail.folder, "key.asc"), key.privateKey);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY: key.publicKey,
  });

  const result = await exportOnce(config, silentLog);

  for (const [path, bytes] of await filesBelow(trail.folder)) {
    expect([path, bytes.includes("plaintext-marker")]).toEqual([path, false]);
  }
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
  expect((await stat(join(trail.folder, "work"))).mode & 0o777).toBe(0o700);
  const file = result.receipts[0]?.location ?? "";
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const opened = await decryptFile({
    file,
    localKeyFile: join(trail.folder, "kek"),
    pgpPrivateKeyFile: join(trail.folder, "key.asc"),
  });
  expect(opened.opened).toEqual(["envelope", "pgp"]);
  expect(opened.sha256).toBe(result.files[0]?.plaintextSha256);
});

test("a second export has only the new rows, and another name on the same day", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  await addRows(trail.client, 3, "first");
  const first = await exportOnce(config, silentLog);
  const none = await exportOnce(config, silentLog);
  await addRows(trail.client, 2, "second");

  const second = await exportOnce(config, silentLog);

  expect(none).toMatchObject({ outcome: "nothing-new", files: [] });
  expect(column(await rowsOf(trail.folder, first), "actor")).toEqual(["first", "first", "first"]);
  expect(column(await rowsOf(trail.folder, second), "actor")).toEqual(["second", "second"]);
  expect([first.files[0]?.name, second.files[0]?.name]).toEqual([
    expect.stringMatching(/^audit-\d{8}\.csv\.envelope\.json$/),
    expect.stringMatching(/^audit-\d{8}\.2\.csv\.envelope\.json$/),
  ]);
});

test("a row that commits late is neither lost nor passed by", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  const late = await connectTo(trail.url);
  await late.query("BEGIN");
  await insertRows(late, 1, "late");
  await insertRows(trail.client, 2, "early");
  const impatient = { now: () => new Date(), sleep: async () => undefined };
  const open = openTestDatabase(trail.url);
  const source = postgresSource(open, { clock: impatient, log: silentLog });

  const early = await source.exclusively(async (session) =>
    session.newRange({ evenIfEmpty: false }),
  );
  await late.query("COMMIT");
  await late.end();
  const after = await exportOnce(config, silentLog);

  expect(early).toBeUndefined(); // the rows behind the open transaction wait with it
  expect(column(await rowsOf(trail.folder, after), "actor")).toEqual(["late", "early", "early"]);
  await open.close();
});

test("many writers with slow transactions lose no row over many exports", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  const stopAt = Date.now() + 4_000;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    const own = await connectTo(trail.url);
    let written = 0;
    while (Date.now() < stopAt) {
      await own.query("BEGIN");
      await insertRows(own, 1, `w${writer}`);
      await own.query("SELECT pg_sleep($1)", [Math.random() < 0.2 ? 0.4 : 0.005]);
      await own.query("COMMIT");
      written += 1;
    }
    await own.end();
    return written;
  });
  const ids: (string | null)[] = [];
  while (Date.now() < stopAt) {
    const result = await exportOnce(config, silentLog);
    if (result.outcome === "exported")
      ids.push(...column(await rowsOf(trail.folder, result), "id"));
  }
  const written = (await Promise.all(writers)).reduce((sum, n) => sum + n, 0);
  const rest = await exportOnce(config, silentLog);
  if (rest.outcome === "exported") ids.push(...column(await rowsOf(trail.folder, rest), "id"));

  expect(ids).toHaveLength(written);
  expect(new Set(ids).size).toBe(written);
});

test("hashed names show no date, neither outside nor in the envelope", async () => {
  const salt = "0123456789abcdef";
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_FILENAME_MODE: "hashed",
    AUDIT_FILENAME_SALT: salt,
  });
  await addRows(trail.client, 1);

  const result = await exportOnce(config, silentLog);

  expect(result.files[0]?.name).toMatch(/^[0-9a-f]{32}\.csv\.envelope\.json$/);
  const text = await readFile(result.receipts[0]?.location ?? "", "utf8");
  const meta = JSON.parse(text) as { original_filename: string };
  expect(meta.original_filename).toMatch(/^[0-9a-f]{32}\.csv$/);
  expect(text).not.toContain("audit-");
});

test("200,000 rows flow through in memory that does not grow with them", async () => {
  await addRows(trail.client, 200_000);
  const config = await folderConfig(trail.folder, trail.url);
  const rss = () => process.memoryUsage().rss;
  const before = rss();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, rss());
  }, 10);

  const result = await exportOnce(config, silentLog);

  clearInterval(timer);
  const { plaintextBytes } = (
    await trail.client.query<{ plaintextBytes: number }>(
      'SELECT plaintext_bytes::float8 AS "plaintextBytes" FROM audit_export_builds',
    )
  ).rows[0] ?? { plaintextBytes: 0 };
  expect(result.rows).toBe(200_000);
  expect(plaintextBytes).toBeGreaterThan(40e6);
  // Held as a whole it would be several times the plaintext; the streams need some tens of MB, mostly V8's slack.
  expect(peak - before).toBeLessThan(150e6);
});

test("with encryption off the file is the CSV itself, and the formula rule can be off too", async () => {
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_ENCRYPTION: "off",
    AUDIT_CSV_FORMULA: "off",
  });
  await addRows(trail.client, 1, "=cmd");

  const result = await exportOnce(config, silentLog);

  expect(result.files[0]?.name).toMatch(/^audit-\d{8}\.csv$/);
  expect(result.files[0]?.sha256).toBe(result.files[0]?.plaintextSha256);
  const text = await readFile(result.receipts[0]?.location ?? "", "utf8");
  expect(column(parseCsv(text), "actor")).toEqual(["=cmd"]);
});
