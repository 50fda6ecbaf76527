import { createHash, randomBytes } from "node:crypto";
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  truncate,
  unlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fettle, type CommandResult } from "../fakes/fettle.ts";
import { startGcpKms } from "../fakes/kms.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenHistory } from "../ops/given-history.ts";
import {
  copyAs,
  keysAt,
  manifestFile,
  manifestOf,
  programs,
  query,
  takenInto,
} from "./given-backup.ts";

let source: TestDatabase;
let folder: string;
/** The backup that most tests look at: its folder and name. Its parts hold a megabyte each. */
let backup: string;
const targets: TestDatabase[] = [];

beforeAll(async () => {
  source = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "backup-"));
  await givenHistory(source.url);
  // Random, so that pg_dump cannot press it into one part.
  await query(source.url, "INSERT INTO inbox (source, body_sha256, raw) VALUES ('x', 'y', $1)", [
    randomBytes(2_500_000),
  ]);
  for (const name of ["local.key", "other.key"])
    await writeFile(join(folder, name), randomBytes(32), { mode: 0o600 });
  const taken = await run(["backup", "--to", join(folder, "backups"), "--json"], source.url);
  backup = takenInto(join(folder, "backups"), taken.stdout);
}, 60_000);

afterAll(async () => {
  for (const target of targets) await target.drop();
  await source.drop();
  await rm(folder, { recursive: true });
});

test("a restored database has every row, and its record is sound", async () => {
  const target = await emptyDatabase();

  const { code, stderr } = await run(["restore", "--unsigned", backup], target.url);

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(await countRows(target.url)).toEqual(await countRows(source.url));
  const [raw] = await query<{ same: boolean }>(
    target.url,
    "SELECT length(raw) = 2500000 AS same FROM inbox",
  );
  expect(raw).toEqual({ same: true });
  const verified = await run(["audit", "verify"], target.url);
  expect(verified).toMatchObject({ code: 0, stderr: "" });
  const migrated = await run(["migrate", "--dry-run"], target.url);
  expect(migrated.stdout).toContain("up to date");
});

test("a backup consists of sealed parts and a manifest that says what they are, and of nothing in the clear", async () => {
  const names = (await readdir(dirname(backup))).sort();
  const manifest = await manifestOf(backup);

  expect(manifest.sealed).toEqual(["envelope"]);
  expect(manifest.keysMissing).toEqual([]);
  expect(manifest.parts.length).toBeGreaterThan(2);
  expect(manifest.dumpBytes).toBeGreaterThan(2_500_000);
  expect(names).toEqual(
    [...manifest.parts.map(({ name }) => name), `${manifest.name}.manifest.json`].sort(),
  );
  for (const { name } of manifest.parts)
    expect((await readFile(join(dirname(backup), name))).includes("PGDMP")).toBe(false);
});

test("a database that is in use is not restored into", async () => {
  const before = await countRows(source.url);

  const { code, stderr } = await run(["restore", "--unsigned", backup], source.url);

  expect(code).toBe(3);
  expect(stderr).toContain("only restored into an empty one");
  expect(await countRows(source.url)).toEqual(before);
});

test("the wrong key, a damaged part and a missing manifest each leave the target empty and say what is wrong", async () => {
  const target = await emptyDatabase();
  const damaged = await copyOfBackup();
  await truncate(`${damaged}.dump.0002.envelope.json`, 1_000);
  const unfinished = await copyOfBackup();
  await unlink(manifestFile(unfinished));

  const wrongKey = await run(
    ["restore", "--unsigned", backup, "--key", join(folder, "other.key")],
    target.url,
  );
  const cut = await run(["restore", "--unsigned", damaged], target.url);
  const headless = await run(["restore", "--unsigned", unfinished], target.url);

  expect([wrongKey.code, cut.code, headless.code]).toEqual([1, 1, 1]);
  expect(wrongKey.stderr).toMatch(/^fettle: (?!pg_restore)/);
  expect(cut.stderr).toContain("dump.0002.envelope.json: is not what was written (1000 of");
  expect(headless.stderr).toContain("no finished backup");
  expect(await countRows(target.url)).toEqual({});
});

test("a part that was exchanged for another sealed with the same key changes nothing", async () => {
  const target = await emptyDatabase();
  const swapped = await copyOfBackup();
  const path = manifestFile(swapped);
  const manifest = JSON.parse(await readFile(path, "utf8")) as { parts: unknown[] };
  await writeFile(path, JSON.stringify({ ...manifest, parts: manifest.parts.toReversed() }));

  const { code, stderr } = await run(["restore", "--unsigned", swapped], target.url);

  expect(code).toBe(1);
  expect(stderr).toMatch(/pg_restore/);
  expect(await countRows(target.url)).toEqual({});
});

test("a pg_restore that is missing, or too old for the dump, says so itself", async () => {
  const target = await emptyDatabase();

  const missing = await run(["restore", "--unsigned", backup], target.url, {
    PATH: await programs(folder, {}),
  });
  const tooOld = await run(["restore", "--unsigned", await backupOfTheFuture()], target.url);

  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/^fettle: pg_restore cannot be run: .*postgresql-client.*\n$/);
  expect(tooOld.code).toBe(1);
  expect(tooOld.stderr).toMatch(/^fettle: pg_restore ended with 1: .*unsupported version.*\n$/);
});

test("a dump that fails leaves no folder behind, and its words are told without the password", async () => {
  const to = join(folder, "failed");
  await mkdir(to);
  const gone = source.url
    .replace(/\/test_\w+/, "/is_not_there")
    .replace("postgres@", "postgres:hush-hush@");

  const { code, stderr } = await run(["backup", "--to", to], gone);

  expect(code).toBe(1);
  expect(stderr).toContain('database "is_not_there" does not exist');
  expect(stderr).not.toContain("hush-hush");
  expect(await readdir(to)).toEqual([]);
});

test("a dump that breaks off leaves no folder behind either, nor does one without pg_dump", async () => {
  const to = join(folder, "broken-off");
  const script = "#!/bin/sh\nhead -c 3000000 /dev/urandom\necho 'server closed' >&2\nexit 1\n";

  const broken = await run(["backup", "--to", to], source.url, {
    PATH: await programs(folder, { pg_dump: script }),
  });
  const missing = await run(["backup", "--to", to], source.url, {
    PATH: await programs(folder, {}),
  });

  expect(broken).toEqual({
    code: 1,
    stdout: "",
    stderr: "fettle: pg_dump ended with 1: server closed\n",
  });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/^fettle: pg_dump cannot be run: .*postgresql-client.*\n$/);
  expect(await readdir(to)).toEqual([]);
});

test("a key service that does not answer ends the backup and its pg_dump", async () => {
  const to = join(folder, "keyless");
  await mkdir(to);
  const gcp = await startGcpKms();
  gcp.fault = "refuse";

  const { code, stderr } = await run(["backup", "--to", to], source.url, keysAt(gcp));

  await gcp.stop();
  expect(code).toBe(1);
  expect(stderr).toMatch(/^fettle: wrapping key gcp_kms .*1 of 2 wrapping keys/);
  expect(await readdir(to)).toEqual([]);
  const dumping =
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pg_dump'";
  expect(await query(source.url, dumping)).toEqual([]);
});

test("a key that a quorum does without is named, by the command and in the manifest", async () => {
  const gcp = await startGcpKms();
  gcp.fault = "refuse";
  const command = ["backup", "--to", join(folder, "quorum"), "--json"];

  const { code, stdout, stderr } = await run(command, source.url, {
    ...keysAt(gcp),
    AUDIT_KMS_QUORUM: "1",
  });

  await gcp.stop();
  expect(code).toBe(0);
  expect(stderr).toMatch(/^warning: sealed without wrapping key gcp_kms \(.*\n$/);
  const taken = JSON.parse(stdout) as { failures: string[] };
  expect(taken.failures).toEqual([expect.stringMatching(/^wrapping key gcp_kms \(/)]);
  const { keysMissing, parts } = await manifestOf(takenInto(join(folder, "quorum"), stdout));
  expect(keysMissing).toEqual(["gcp_kms"]);
  expect(parts.map(({ keyIds }) => Object.keys(keyIds ?? {}))).toEqual(parts.map(() => ["local"]));
});

test("older backups are taken away when that is asked for: those of this database, never the new one", async () => {
  const to = join(folder, "kept");
  await mkdir(to);
  await writeFile(join(to, "backup-20200101T000000Z.dump.0001"), "never finished");
  await copyAs(backup, join(to, "backup-20200202T000000Z"));
  await copyAs(backup, join(to, "backup-20990101T000000Z"));
  await copyAs(backup, join(to, "backup-20200303T000000Z"), ({ database }) => ({
    database: { ...database, name: "staging" },
  }));
  await copyAs(backup, join(to, "backup-20200404T000000Z"), ({ database }) => ({
    database: { ...database, system: "1" },
  }));

  const { stdout } = await run(["backup", "--to", to, "--keep", "1", "--json"], source.url);

  const { removed, name: newest } = JSON.parse(stdout) as { removed: string[]; name: string };
  expect(removed.toSorted()).toEqual([
    "folder: backup-20200202T000000Z",
    "folder: backup-20990101T000000Z",
  ]);
  const left = (await readdir(to)).map((name) => name.split(".")[0]);
  expect([...new Set(left)].sort()).toEqual([
    "backup-20200101T000000Z",
    "backup-20200303T000000Z",
    "backup-20200404T000000Z",
    newest,
  ]);
});

test("an old backup that cannot be taken away is told, and the new one stays", async () => {
  const to = join(folder, "held");
  const old = join(to, "backup-20200101T000000Z");
  await copyAs(backup, old);
  const part = `${old}.dump.0001.envelope.json`;
  await unlink(part);
  await mkdir(part); // nobody takes it for a file, whoever runs this test

  const { code, stdout, stderr } = await run(
    ["backup", "--to", to, "--keep", "1", "--json"],
    source.url,
  );

  const taken = takenInto(to, stdout);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^fettle: .*is finished.*backup-20200101T000000Z.*could not delete/);
  expect(await readdir(to)).toContain(basename(manifestFile(old)));
  expect((await manifestOf(taken)).parts.length).toBeGreaterThan(2);
});

test("a restore wants to know whom to believe, and neither of both ways is a mistake in the command", async () => {
  const none = await run(["restore", backup], source.url);
  const both = await run(["restore", backup, "--unsigned", "--pub", "x"], source.url);

  expect([none.code, both.code]).toEqual([2, 2]);
  for (const { stderr } of [none, both]) expect(stderr).toContain("--pub with the public keys");
});

type Variables = Readonly<Record<string, string>>;

function variables(databaseUrl: string): Variables {
  return {
    AIOPS_DATABASE_URL: databaseUrl,
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: join(folder, "local.key"),
    AUDIT_MAX_PART_MB: "1",
  };
}

async function run(
  args: readonly string[],
  databaseUrl: string,
  more: Variables = {},
): Promise<CommandResult> {
  return fettle(args, { ...variables(databaseUrl), ...more });
}

async function emptyDatabase(): Promise<TestDatabase> {
  const target = await createEmptyDatabase();
  targets.push(target);
  return target;
}

/** A dump in a format that no pg_restore knows yet, longer than a pipe holds. */
async function backupOfTheFuture(): Promise<string> {
  const copy = await copyOfBackup();
  const part = `${basename(copy)}.dump.0001`;
  const dump = Buffer.concat([Buffer.from("PGDMP\u0001\u0063\u0000"), Buffer.alloc(1_000_000)]);
  const sha256 = createHash("sha256").update(dump).digest("hex");
  const parts = [{ name: part, bytes: dump.length, sha256 }];
  await writeFile(join(dirname(copy), part), dump);
  const manifest = { ...(await manifestOf(backup)), sealed: [], parts };
  await writeFile(manifestFile(copy), JSON.stringify(manifest));
  return copy;
}

async function copyOfBackup(): Promise<string> {
  const copy = await mkdtemp(join(folder, "copy-"));
  await cp(dirname(backup), copy, { recursive: true });
  return join(copy, basename(backup));
}

/** Rows of each table, of every schema. */
async function countRows(url: string): Promise<Readonly<Record<string, number>>> {
  const tables = await query<{ name: string }>(
    url,
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  );
  const counts = await Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await query<{ count: number }>(
        url,
        `SELECT count(*)::int AS count FROM ${name}`,
      );
      return [name, row?.count ?? -1] as const;
    }),
  );
  return Object.fromEntries(counts);
}
