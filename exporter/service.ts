import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../lib/clock.ts";
import { buildApp, listen, type Readiness } from "../lib/http.ts";
import { buildService, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase } from "../lib/postgres.ts";
import { inSpan } from "../lib/tracing.ts";
import { demoSource } from "./adapters/demo-source.ts";
import { folderDestination } from "./adapters/folder.ts";
import { localKeyWrapper } from "./adapters/local-key.ts";
import { postgresSource } from "./adapters/postgres-source.ts";
import { sftpDestination } from "./adapters/sftp.ts";
import { isMock, usesEnvelope, usesPgp, type ExporterConfig } from "./config.ts";
import { decrypt, type DecryptRequest, type DecryptResult } from "./decrypt.ts";
import { exportAudit, type ExportDeps } from "./export.ts";
import { createExportMetrics } from "./metrics.ts";
import { readRecipients, type Recipient } from "./recipients.ts";
import { scheduleExports } from "./schedule.ts";
import type { AuditSource, Destination, ExportResult, KeyWrapper, Progress } from "./types.ts";

export interface ExportOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The lock's connection, the one that records progress, and one for a scrape. */
const CONNECTIONS_MAX = 3;

/** One export, as `fettle export` makes it. @throws what stopped it; the next run goes on from there */
export async function exportOnce(
  config: ExporterConfig,
  log: Log,
  options: ExportOptions = {},
): Promise<ExportResult> {
  const source = openSource(config, log);
  try {
    return await runExport(config, source.audit, log, options);
  } finally {
    await source.close();
  }
}

/** Opens what an export sealed, as `fettle decrypt` does. @throws EnvelopeError, PgpError, FileExists */
export async function decryptFile(request: DecryptRequest): Promise<DecryptResult> {
  const { localKeyFile } = request;
  const wrappers = localKeyFile === undefined ? [] : [await localKeyWrapper(localKeyFile)];
  return decrypt(request, { wrappers });
}

/** Exports by the clock, with /health, /ready and /metrics. Plain HTTP on loopback: there is nothing else to ask of it. */
export async function startExporter(config: ExporterConfig, log: Log): Promise<RunningService> {
  return buildService(log, async (stack) => {
    const source = openSource(config, log);
    stack.add("database", source.close);
    await sealingOf(config, log); // keys that cannot be used stop the start, not the first night's export
    const registry = createRegistry("exporter");
    const metrics = createExportMetrics(registry, source.audit);
    const run = async (signal: AbortSignal): Promise<void> => {
      const start = performance.now();
      const seconds = () => (performance.now() - start) / 1000;
      try {
        const result = await runExport(config, source.audit, log, { signal });
        metrics.succeeded(result, seconds(), systemClock.now());
      } catch (error) {
        metrics.failed(seconds());
        throw error;
      }
    };
    const unfinished = await source.audit.status().then(
      (status) => status.hasUnfinished,
      () => false, // the database may come later; the schedule does not wait for it
    );
    const schedule = scheduleExports(config.cron, unfinished, { run, clock: systemClock, log });
    stack.add("schedule", async () => schedule.stop());
    const readiness = async () => readinessOf(source.audit);
    const app = buildApp({ service: "exporter", log, registry, readiness }, () => undefined);
    const server = await listen(app, config);
    stack.add("http server", async () => server.stop());
    return server.url;
  });
}

async function readinessOf(audit: AuditSource): Promise<Readiness> {
  try {
    const { lastDoneAt } = await audit.status();
    const detail = lastDoneAt === undefined ? "no export yet" : lastDoneAt.toISOString();
    return { ready: true, checks: { database: { ok: true }, last_export: { ok: true, detail } } };
  } catch {
    return { ready: false, checks: { database: { ok: false, detail: "does not answer" } } };
  }
}

async function runExport(
  config: ExporterConfig,
  source: AuditSource,
  log: Log,
  { onProgress = () => undefined, signal }: ExportOptions,
): Promise<ExportResult> {
  const deps: ExportDeps = {
    source,
    destinations: await destinationsOf(config),
    ...(await sealingOf(config, log)),
    pgpComment: config.pgpComment,
    formula: config.csvFormula,
    filenameSalt: config.filenameMode === "hashed" ? config.filenameSalt?.reveal() : undefined,
    workFolder: config.workDir ?? defaultWorkFolder(config),
    clock: systemClock,
    log,
    onProgress,
    signal,
  };
  const result = await inSpan("export", {}, async () => exportAudit(deps));
  log.info("export ended", {
    outcome: result.outcome,
    export_id: result.exportId,
    rows: result.rows,
    resumed: result.resumed,
    receipts: result.receipts.map(({ destination, verifiedBy }) => `${destination}: ${verifiedBy}`),
  });
  return result;
}

function openSource(
  config: ExporterConfig,
  log: Log,
): { readonly audit: AuditSource; readonly close: () => Promise<void> } {
  if (isMock(config)) return { audit: demoSource(systemClock), close: async () => undefined };
  const database = openDatabase(
    {
      url: config.databaseUrl.reveal(),
      applicationName: "fettle-exporter",
      max: CONNECTIONS_MAX,
    },
    log,
  );
  return {
    audit: postgresSource(database, { clock: systemClock, log }),
    close: async () => database.close(),
  };
}

/** Read anew for each run: keys expire, and files are replaced. */
async function sealingOf(
  config: ExporterConfig,
  log: Log,
): Promise<{ recipients: readonly Recipient[]; wrappers: readonly KeyWrapper[] }> {
  const recipients = usesPgp(config)
    ? await readRecipients(await pgpSources(config), systemClock.now())
    : [];
  for (const { fingerprint, warning } of recipients) {
    if (warning !== undefined)
      log.warn("PGP recipient may be unable to open files", { fingerprint, warning });
  }
  const { localKeyFile } = config;
  const usesLocal = usesEnvelope(config) && localKeyFile !== undefined;
  return { recipients, wrappers: usesLocal ? [await localKeyWrapper(localKeyFile)] : [] };
}

async function pgpSources(config: ExporterConfig) {
  const inline = [
    { from: "AUDIT_PGP_PUBLIC_KEY", content: config.pgpPublicKey },
    { from: "AUDIT_PGP_PUBLIC_KEYS", content: config.pgpPublicKeys },
  ].flatMap(({ from, content }) =>
    content === undefined ? [] : [{ from, content: Buffer.from(content) }],
  );
  const paths = [config.pgpPublicKeyFile ?? [], config.pgpPublicKeyFiles].flat();
  const files = paths.map(async (path) => ({ from: path, content: await readFile(path) }));
  return [...inline, ...(await Promise.all(files))];
}

async function destinationsOf(config: ExporterConfig): Promise<readonly Destination[]> {
  const destinations: Destination[] = [];
  if (config.exportDir !== undefined) destinations.push(folderDestination(config.exportDir));
  if (config.sftpHost !== undefined) {
    destinations.push(
      sftpDestination({
        host: config.sftpHost,
        port: config.sftpPort,
        username: config.sftpUsername ?? "",
        password: config.sftpPassword,
        privateKey: config.sftpPrivateKey,
        passphrase: config.sftpPassphrase,
        remoteDir: config.sftpRemoteDir,
        verify: config.sftpVerify,
        hostKeys: {
          fingerprints: config.sftpHostKeySha256,
          knownHosts: await knownHostsOf(config.sftpKnownHosts),
        },
      }),
    );
  }
  return destinations;
}

/** The variable holds the lines themselves, or a path; only lines name a key type. */
async function knownHostsOf(value: string | undefined): Promise<string | undefined> {
  if (value === undefined || /\s(ssh-|ecdsa-|sk-)/.test(value))
    return value?.replaceAll("\\n", "\n");
  return readFile(value, "utf8");
}

/** One for each database, private to this user. It holds sealed files only, for as long as they are being delivered. */
function defaultWorkFolder({ databaseUrl }: ExporterConfig): string {
  const database = createHash("sha256").update(databaseUrl.reveal()).digest("hex").slice(0, 12);
  return join(tmpdir(), `fettle-exporter-${process.getuid?.() ?? 0}-${database}`);
}
