import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { reportDrill } from "../../ops/report-drill.ts";
import { givenKeyFiles } from "../exporter/given-backups.ts";
import { fettle, startFettle, type FettleProcess } from "../fakes/fettle.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenHistory } from "./given-history.ts";

const DEADLINE_MS = 240_000; // a server is initialised and four programs are started, on a machine that does more
const TOKEN = "drill-report-token-of-32-bytes-or-more";

let database: TestDatabase;
let hypervisor: FettleProcess;
let folder: string;
let key: Awaited<ReturnType<typeof givenKeyFiles>>;

beforeAll(async () => {
  database = await createTestDatabase();
  await givenHistory(database.url);
  folder = await mkdtemp(join(tmpdir(), "drill-test-"));
  await chmod(folder, 0o755);
  await writeFile(join(folder, "local.key"), randomBytes(32), { mode: 0o600 });
  key = await givenKeyFiles(folder, "signer");
  hypervisor = await startFettle("hypervisor", "HYPERVISOR_PORT", {
    AIOPS_DATABASE_URL: database.url,
    HYPERVISOR_API_TOKEN: TOKEN,
  });
}, DEADLINE_MS);

afterAll(async () => {
  await hypervisor.stop();
  await database.drop();
  await rm(folder, { recursive: true });
});

test(
  "a drill backs up, restores, lives on the copy, checks the record, reports, measures, and leaves nothing behind",
  async () => {
    expect(await lastDrill()).toBe(0);

    const { code, stdout, stderr } = await drill({});

    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const measured = JSON.parse(stdout) as Readonly<Record<string, number | boolean>>;
    expect(measured).toMatchObject({ reported: true, signed: true });
    expect(measured["rpoSeconds"]).toBeGreaterThan(0);
    expect(measured["rtoSeconds"]).toBeGreaterThan(Number(measured["restoreSeconds"]));
    expect(await lastDrill()).toBeGreaterThan(Date.now() / 1000 - DEADLINE_MS / 1000);
    expect((await readdir(folder)).filter((name) => name.startsWith("fettle-drill-"))).toEqual([]);
  },
  DEADLINE_MS,
);

/** What Prometheus reads, and DrillNotRunRecently goes by. */
async function lastDrill(): Promise<number> {
  const text = await (await fetch(`${hypervisor.url}/metrics`)).text();
  return Number(/^last_successful_drill_timestamp_seconds(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1]);
}

test("a drill without a backup fails and says so", async () => {
  const { code, stderr } = await drill({
    DRILL_FROM: "folder",
    AUDIT_EXPORT_DIR: join(folder, "nothing"),
  });

  expect(code).not.toBe(0);
  expect(stderr).toContain("folder: has no finished backup");
});

test("a drill opens a backup that was sealed for a PGP key, and fails when it is too old: backups are not taken any more", async () => {
  const there = {
    DRILL_FROM: "folder",
    AUDIT_EXPORT_DIR: join(folder, "exports"),
    ...(await pgp()),
  };
  await fettle(["backup", "--json"], variables(there));

  const { code, stderr } = await drill({ ...there, DRILL_RPO_SECONDS: "0" });

  expect(code).not.toBe(0);
  expect(stderr).toMatch(/the newest backup, backup-\d+T\d+Z, is \d+ s old, more than 0/);
});

test("a drill with a backup from elsewhere wants to know whose signature it must have", async () => {
  const { code, stderr } = await drill({ DRILL_FROM: "folder", AUDIT_SIGNING_KEY_FILE: "" });

  expect(code).not.toBe(0);
  expect(stderr).toContain("DRILL_PUBLIC_KEY_FILE: whose signature");
});

test("a drill with a backup that nobody who is trusted signed fails and says so", async () => {
  const stranger = await givenKeyFiles(folder, "stranger");

  const { code, stderr } = await drill({ DRILL_PUBLIC_KEY_FILE: stranger.pub });

  expect(code).not.toBe(0);
  expect(stderr).toContain("no signature of the given keys");
});

test("news of a drill that nobody takes is a failure, and without an address there is nobody to tell", async () => {
  await expect(reportDrill(hypervisor.url, "wrong")).rejects.toThrow(
    "answered 401 to the news of the drill",
  );
  expect(await reportDrill("")).toBe(false);
});

/** As the nightly backup seals, and as somebody who has the key opens. */
async function pgp(): Promise<Readonly<Record<string, string>>> {
  const passphrase = "only for this test";
  const pair = await generateKey({ userIDs: [{ email: "drill@example.com" }], passphrase });
  const [pub, key] = [join(folder, "pub.asc"), join(folder, "key.asc")];
  await writeFile(pub, pair.publicKey);
  await writeFile(key, pair.privateKey, { mode: 0o600 });
  return {
    AUDIT_ENC_MODE: "pgp",
    AUDIT_PGP_PUBLIC_KEY_FILE: pub,
    AUDIT_DRILL_PGP_PRIVATE_KEY_FILE: key,
    FETTLE_PGP_PASSPHRASE: passphrase,
  };
}

function variables(change: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return {
    TMPDIR: folder,
    AIOPS_DATABASE_URL: database.url,
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: join(folder, "local.key"),
    AUDIT_SIGNING_KEY_FILE: key.signing,
    DRILL_REPORT_URL: hypervisor.url,
    DRILL_REPORT_TOKEN: TOKEN,
    ...change,
  };
}

async function drill(change: Readonly<Record<string, string>>) {
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    FETTLE_TEST_FOLDER: process.env["FETTLE_TEST_FOLDER"],
    ...variables(change),
  };
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile("make", ["--silent", "dr-drill"], { env }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}
