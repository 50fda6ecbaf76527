// `make dr-drill`: rehearses a disaster. Restores a backup (DRILL_BACKUP, a path or the name of one at the destination DRILL_FROM; with
// DRILL_FROM alone the newest there; else one that it takes now of AIOPS_DATABASE_URL) whose signature fits DRILL_PUBLIC_KEY_FILE
// into a PostgreSQL of its own, lets a service live on it, checks the record, and tells the hypervisor that it went well
// (DRILL_REPORT_URL, DRILL_REPORT_TOKEN). Needs the exporter's keys in their variables (a PGP key in AUDIT_DRILL_PGP_PRIVATE_KEY_FILE), and
// pg_dump and pg_restore.
// The last line is JSON with what was measured. docs/operations.md has the figures and what they mean.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startEmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { freePort } from "../lib/free-port.ts";
import { silentLog } from "../lib/log.ts";
import { readSigningKey } from "../lib/signed-note.ts";
import { reportDrill } from "./report-drill.ts";

const HEALTHY_TIMEOUT_MS = 60_000;
const LOG_TAIL_CHARACTERS = 3_000;
const LATEST = "latest";
/** Two nights, of which one may fail. */
const RPO_SECONDS_MAX = 172_800;

interface Measured {
  /** How old what was restored is: all that was committed later is lost. */
  readonly rpoSeconds: number;
  /** From the first byte restored to a service that answers on it. */
  readonly rtoSeconds: number;
  readonly restoreSeconds: number;
  readonly backup: string;
  /** Whether its signature was checked. */
  readonly signed: boolean;
  readonly reported: boolean;
}

const folder = await mkdtemp(join(tmpdir(), "fettle-drill-"));
await chmod(folder, 0o755); // the scratch server may run as another user
try {
  const measured = await drill();
  process.stdout.write(`${JSON.stringify(measured)}\n`);
} catch (error) {
  process.stderr.write(`dr-drill: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function drill(): Promise<Measured> {
  const [from, path] = [given("DRILL_FROM"), given("DRILL_BACKUP")];
  const isOurOwn = from === undefined && path === undefined;
  const trust = await trusted(isOurOwn);
  const backup = path ?? (isOurOwn ? await takeBackup() : LATEST);
  const scratch = await startEmbeddedPostgres(join(folder, "postgres"), silentLog);
  try {
    const begun = Date.now();
    const source = from === undefined ? [] : ["--from", from];
    const words = await step(
      "restoring",
      ["restore", backup, "--json", ...source, ...trust, ...pgpKey()],
      scratch.url,
    );
    const { name, startedAt } = JSON.parse(words) as { name: string; startedAt: string };
    const restored = Date.now();
    const rpoSeconds = (begun - Date.parse(startedAt)) / 1000;
    if (backup === LATEST) requireRecent(name, rpoSeconds);
    await step("migrating", ["migrate"], scratch.url); // a backup of the version before becomes one of this
    await liveOn(scratch.url);
    const healthy = Date.now();
    await step("checking the record", ["audit", "verify"], scratch.url);
    return {
      rpoSeconds,
      rtoSeconds: (healthy - begun) / 1000,
      restoreSeconds: (restored - begun) / 1000,
      backup: name,
      signed: trust[0] === "--pub",
      reported: await reportDrill(given("DRILL_REPORT_URL"), given("DRILL_REPORT_TOKEN")),
    };
  } finally {
    await scratch.stop();
  }
}

/** A newest backup that is old means that none are taken any more: no success, so that DrillNotRunRecently tells of it. */
function requireRecent(name: string, rpoSeconds: number): void {
  const most = Number(given("DRILL_RPO_SECONDS") ?? RPO_SECONDS_MAX);
  if (rpoSeconds > most)
    throw new Error(
      `the newest backup, ${name}, is ${Math.round(rpoSeconds)} s old, more than ${most} (DRILL_RPO_SECONDS)`,
    );
}

/** A workflow sets a variable that nobody has filled in to the empty text. */
function given(name: string): string | undefined {
  const value = process.env[name];
  return value === "" ? undefined : value;
}

/** A backup that was sealed for people; the other keys are found by their variables. */
function pgpKey(): readonly string[] {
  const path = given("AUDIT_DRILL_PGP_PRIVATE_KEY_FILE");
  return path === undefined ? [] : ["--pgp-private-key", path];
}

async function takeBackup(): Promise<string> {
  const to = join(folder, "backups");
  const words = await step("backing up", ["backup", "--to", to, "--json"]);
  return join(to, (JSON.parse(words) as { name: string }).name);
}

/** By which keys a backup is believed: those that are given, else that of who signs here; only our own of today may be unsigned. */
async function trusted(isOurOwn: boolean): Promise<readonly string[]> {
  const pub = given("DRILL_PUBLIC_KEY_FILE");
  if (pub !== undefined) return ["--pub", pub];
  const signingKey = given("AUDIT_SIGNING_KEY_FILE");
  if (signingKey === undefined) {
    if (isOurOwn) return ["--unsigned"];
    throw new Error(
      "DRILL_PUBLIC_KEY_FILE: whose signature must a backup have that was not taken here?",
    );
  }
  const publicKey = createPublicKey(await readSigningKey(signingKey));
  const path = join(folder, "signer.pem");
  await writeFile(path, publicKey.export({ type: "spki", format: "pem" }));
  return ["--pub", path];
}

/** @throws with the command's own words when it fails */
async function step(what: string, args: readonly string[], databaseUrl?: string): Promise<string> {
  process.stderr.write(`dr-drill: ${what}\n`);
  const env = {
    ...process.env,
    ...(databaseUrl === undefined ? {} : { AIOPS_DATABASE_URL: databaseUrl }),
  };
  try {
    return (await promisify(execFile)("bin/fettle", args, { env })).stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${what} failed: ${`${stderr}${stdout}`.trim() || String(error)}`, {
      cause: error,
    });
  }
}

/** Starts a service on the restored database and asks it until it is well and ready. */
async function liveOn(databaseUrl: string): Promise<void> {
  process.stderr.write("dr-drill: starting a service on it\n");
  const port = String(await freePort());
  const env = {
    ...process.env,
    AIOPS_DATABASE_URL: databaseUrl,
    HYPERVISOR_HOST: "127.0.0.1",
    HYPERVISOR_PORT: port,
  };
  const child = spawn("bin/fettle", ["hypervisor"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const log = tailOf(child);
  try {
    const deadline = Date.now() + HEALTHY_TIMEOUT_MS;
    while (!(await isWell(`http://127.0.0.1:${port}`))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`it does not come up: ${log()}`);
      await sleep(100);
    }
  } finally {
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
}

async function isWell(url: string): Promise<boolean> {
  const answers = await Promise.all(
    ["/health", "/ready"].map(async (path) => fetch(url + path).catch(() => undefined)),
  );
  if (!answers.every((answer) => answer?.ok === true)) return false;
  const { status } = (await answers[0]?.json()) as { status?: string };
  return status === "healthy";
}

function tailOf(child: ChildProcess): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on(
      "data",
      (chunk: Buffer) => (text = (text + chunk.toString()).slice(-LOG_TAIL_CHARACTERS)),
    );
  return () => text;
}
