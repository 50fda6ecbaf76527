import { execFile } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { createTestDatabase } from "../servers/postgres.ts";
import { measureStages } from "./exporter/stages.ts";

// `make bench T=exporter`: exports of FETTLE_BENCH_ROWS rows (2,000,000) to a folder, and what a person would type instead. All of
// it FETTLE_BENCH_ROUNDS times (3) by turns, because other work on the machine comes and goes: the best time of each counts, and
// the largest memory. The recipient's key is one that gpg made: gpg compresses for those, as it does for most people.

const ROWS = Number(process.env["FETTLE_BENCH_ROWS"] ?? 2_000_000);
const ROUNDS = Number(process.env["FETTLE_BENCH_ROUNDS"] ?? 3);
const NAIVE_ROWS = Math.min(ROWS, 1_000_000);
/** As bin/fettle starts exports. */
const FLAGS = ["--max-semi-space-size=8", "--expose-gc"];
const IO = { UV_USE_IO_URING: "0" };
const run = promisify(execFile);

interface Figures {
  readonly rows: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMegabytes: number;
}

const folder = await mkdtemp(join(tmpdir(), "fettle-bench-"));
const database = await createTestDatabase();
const client = new pg.Client({ connectionString: database.url });
await client.connect();

async function fill(): Promise<void> {
  await client.query("SET session_replication_role = replica"); // without the chain, which is the writer's cost
  await client.query(
    `INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, target, detail, correlation_id)
     SELECT 'run-' || n, 'executed', 'fettle', 'shop', 'checkout-' || n % 100, 'deployment/checkout',
       jsonb_build_object('n', n, 'reason', CASE WHEN n % 50 = 0 THEN E'said "no"\\n🛠' ELSE 'level shift' END), gen_random_uuid()
     FROM generate_series(1, $1::int) n`,
    [ROWS],
  );
  await client.query("VACUUM ANALYZE runbooks_audit");
}

async function prepareKeys(): Promise<Record<string, string>> {
  await writeFile(join(folder, "kek"), randomBytes(32), { mode: 0o600 });
  const home = join(folder, "gnupg");
  await mkdir(home, { mode: 0o700 });
  const gpg = ["--homedir", home, "--batch", "--quiet", "--passphrase", ""];
  await run("gpg", [...gpg, "--quick-generate-key", "bench@example.org", "default", "default"]);
  const { stdout: publicKey } = await run("gpg", [...gpg, "--armor", "--export"]);
  await run("gpgconf", ["--homedir", home, "--kill", "all"]);
  await writeFile(join(folder, "pub.asc"), publicKey);
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ format: "pem", type: "pkcs8" });
  await writeFile(join(folder, "sign.pem"), pem, { mode: 0o600 });
  return {
    ...(process.env as Record<string, string>),
    ...IO,
    AIOPS_DATABASE_URL: database.url,
    AUDIT_EXPORT_DIR: join(folder, "out"),
    AUDIT_WORK_DIR: join(folder, "work"),
    AUDIT_LOCAL_KEY_FILE: join(folder, "kek"),
    AUDIT_PGP_PUBLIC_KEY_FILE: join(folder, "pub.asc"),
    AUDIT_MAX_PART_MB: "2147",
  };
}

async function exportBy(
  base: Record<string, string>,
  more: Record<string, string>,
): Promise<Figures> {
  await client.query("TRUNCATE audit_exports, audit_manifests CASCADE");
  await rm(join(folder, "out"), { recursive: true, force: true });
  const program = join(import.meta.dirname, "exporter/run.ts");
  const { stdout } = await run(process.execPath, [...FLAGS, program], {
    env: { ...base, ...more },
  });
  return JSON.parse(stdout) as Figures;
}

/** Twice as many rounds: how long a sync takes differs most. */
async function sftpRates(): Promise<{ readonly ours: number; readonly openssh: number }> {
  const program = join(import.meta.dirname, "exporter/sftp.ts");
  const { stdout } = await run(process.execPath, [...FLAGS, program, String(2 * ROUNDS)], {
    env: { ...process.env, ...IO },
  });
  return JSON.parse(stdout) as { ours: number; openssh: number };
}

/** A shell line, timed; its processor time includes its children's but not the server's. */
async function shell(line: string): Promise<Figures> {
  const start = performance.now();
  await run("bash", ["-o", "pipefail", "-c", line], {
    env: { ...process.env, GNUPGHOME: join(folder, "gnupg") },
  });
  const seconds = (performance.now() - start) / 1000;
  return { rows: ROWS, seconds, cpuSeconds: Number.NaN, rssMegabytes: Number.NaN };
}

async function outputMegabytes(): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(join(folder, "out"))) {
    bytes += (await stat(join(folder, "out", name))).size;
  }
  return bytes / 1e6;
}

const results = new Map<string, Figures>();
let plainMegabytes = 0;
const notes = new Map<string, string>();

/** Keeps the best time of all rounds and the largest memory. */
function keep(name: string, figures: Figures, note = ""): void {
  const best = results.get(name) ?? figures;
  const faster = figures.seconds < best.seconds ? figures : best;
  results.set(name, {
    ...faster,
    rssMegabytes: Math.max(figures.rssMegabytes, best.rssMegabytes),
  });
  notes.set(name, note);
}

function report(name: string, { rows, seconds, cpuSeconds, rssMegabytes }: Figures): void {
  const megabytes = (plainMegabytes * rows) / ROWS;
  const columns = [
    name.padEnd(34),
    `${seconds.toFixed(2)} s`,
    `${Math.round(rows / seconds / 1000)} k rows/s`,
    `${(megabytes / seconds).toFixed(0)} MB/s`,
    `cpu ${cpuSeconds.toFixed(1)} s`,
    `rss ${rssMegabytes.toFixed(0)} MB`,
    notes.get(name) ?? "",
  ];
  process.stdout.write(`${columns.join("  ")}\n`);
}

const ratio = (name: string, to: string): string =>
  ((results.get(to)?.seconds ?? 0) / (results.get(name)?.seconds ?? 1)).toFixed(2);

try {
  await fill();
  const base = await prepareKeys();
  const copy = `psql -qAt '${database.url}' -c "COPY (SELECT id, xid, ts, run_id, event, actor, namespace, app, target, action, detail, correlation_id, trace_id FROM runbooks_audit ORDER BY xid, id) TO STDOUT (FORMAT csv, HEADER)"`;
  const gpg = `gpg --batch --quiet --trust-model always -f ${join(folder, "pub.asc")}`;
  const size = await run("bash", ["-c", `${copy} | wc -c`]);
  plainMegabytes = Number(size.stdout) / 1e6;
  process.stdout.write(`${ROWS} rows, ${plainMegabytes.toFixed(0)} MB of CSV\n`);
  const off = { AUDIT_ENCRYPTION: "off", AUDIT_CSV_FORMULA: "off" };
  const plain = { AUDIT_CSV_FORMULA: "off" };
  const archive = { ...plain, AUDIT_JSONL: "on", AUDIT_MAX_PART_MB: "256" };
  const scenarios: readonly [string, Record<string, string>][] = [
    ["csv", off],
    ["csv, formula rule", { AUDIT_ENCRYPTION: "off" }],
    ["pgp", { ...plain, AUDIT_ENC_MODE: "pgp" }],
    ["pgp by gpg", { ...plain, AUDIT_ENC_MODE: "pgp", AUDIT_GPG_CLI: "on" }],
    ["kms", { ...plain, AUDIT_ENC_MODE: "kms" }],
    ["zstd kms", { ...plain, AUDIT_ENC_MODE: "kms", AUDIT_COMPRESS: "zstd" }],
    [
      "zstd pgp by gpg",
      { ...plain, AUDIT_ENC_MODE: "pgp", AUDIT_GPG_CLI: "on", AUDIT_COMPRESS: "zstd" },
    ],
    ["pgp+kms", { ...plain, AUDIT_ENC_MODE: "pgp+kms" }],
    ["zstd pgp", { ...plain, AUDIT_ENC_MODE: "pgp", AUDIT_COMPRESS: "zstd" }],
    ["zstd pgp+kms", { ...plain, AUDIT_ENC_MODE: "pgp+kms", AUDIT_COMPRESS: "zstd" }],
    ["kms, archive with JSON lines", { ...archive, AUDIT_ENC_MODE: "kms" }],
    ["zstd kms, archive", { ...archive, AUDIT_ENC_MODE: "kms", AUDIT_COMPRESS: "zstd" }],
    [
      "zstd pgp+kms, signed manifest",
      {
        ...plain,
        AUDIT_ENC_MODE: "pgp+kms",
        AUDIT_COMPRESS: "zstd",
        AUDIT_SIGNING_KEY_FILE: join(folder, "sign.pem"),
      },
    ],
  ];
  for (let round = 0; round < ROUNDS; round++) {
    keep("psql copy > /dev/null", await shell(`${copy} > /dev/null`));
    keep("psql copy | gpg", await shell(`${copy} | ${gpg} -e > ${folder}/shell.gpg`));
    keep(
      "psql copy | gpg, no compression",
      await shell(`${copy} | ${gpg} --compress-algo none -e > ${folder}/shell.gpg`),
    );
    for (const [name, variables] of scenarios) {
      const figures = await exportBy(base, variables);
      keep(name, figures, `${(await outputMegabytes()).toFixed(0)} MB stored`);
    }
  }
  const naive = join(import.meta.dirname, "exporter/naive.ts");
  const { stdout } = await run(process.execPath, ["--max-old-space-size=8000", naive], {
    env: { ...base, FETTLE_BENCH_ROWS: String(NAIVE_ROWS) },
  });
  keep("all in memory", JSON.parse(stdout) as Figures);
  for (const [name, figures] of results) report(name, figures);
  const stages = await measureStages(database.url, join(folder, "pub.asc"));
  const limits = [...stages].map(([name, megabytes]) => `${name} ${megabytes.toFixed(0)}`);
  process.stdout.write(`each stage by itself, MB/s of CSV: ${limits.join(", ")}\n`);
  const sftp = await sftpRates();
  const naiveRate = NAIVE_ROWS / (results.get("all in memory")?.seconds ?? 1);
  const ours = ROWS / (results.get("zstd pgp+kms")?.seconds ?? 1);
  process.stdout.write(
    [
      `zstd pgp+kms to copy alone: ${ratio("zstd pgp+kms", "psql copy > /dev/null")} (target 0.85)`,
      `zstd pgp+kms, signed, to copy alone: ${ratio("zstd pgp+kms, signed manifest", "psql copy > /dev/null")} (target 0.85)`,
      `zstd pgp+kms to psql | gpg: ${ratio("zstd pgp+kms", "psql copy | gpg")} (target 2)`,
      `pgp to psql | gpg without compression: ${ratio("pgp", "psql copy | gpg, no compression")} (target 0.8)`,
      `pgp by gpg to the same: ${ratio("pgp by gpg", "psql copy | gpg, no compression")}`,
      `sftp, upload and read-back: ${sftp.ours.toFixed(0)} MB/s, OpenSSH's client ${sftp.openssh.toFixed(0)} MB/s: ${(sftp.ours / sftp.openssh).toFixed(2)} (target 1)`,
      `rows/s of zstd pgp+kms to all in memory: ${(ours / naiveRate).toFixed(1)} (target 10)`,
      "",
    ].join("\n"),
  );
} finally {
  await client.end();
  await database.drop();
  await rm(folder, { recursive: true });
}
