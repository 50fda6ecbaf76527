import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { DetectorOverrides } from "../detector/main.ts";
import {
  ConfigError,
  optional,
  postgresUrl,
  readConfig,
  secret,
  secretsIn,
  text,
  withDefault,
  type Environment,
} from "../lib/config.ts";
import { hasCode } from "../lib/error.ts";
import { startEmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { buildService, runService, StopStack, type RunningService } from "../lib/lifecycle.ts";
import { createLogger, type Log } from "../lib/log.ts";
import { migrate } from "../lib/migrate.ts";
import { Secret } from "../lib/secret.ts";
import { envSections } from "./env-example.ts";

/** The four services, where they listen, and the configuration that they were given. */
export interface AllServices extends RunningService {
  readonly env: Environment;
  readonly urls: Readonly<Record<"detector" | "runbooks" | "exporter" | "hypervisor", string>>;
}

/** What `fettle all` itself decides from; each may also come from a `NAME_FILE`. */
const shape = {
  databaseUrl: optional("AIOPS_DATABASE_URL", postgresUrl, "an embedded database when unset"),
  webhookSecret: optional("AIOPS_WEBHOOK_SECRET", secret, "one of this start's own when unset"),
  folder: withDefault("FETTLE_FOLDER", text, ".fettle", "where the embedded database and keys lie"),
  exportDir: optional("AUDIT_EXPORT_DIR", text, "a folder in FETTLE_FOLDER when unset"),
  logFile: optional("LOG_FILE", text, "also write the log to this file"),
} as const;

/** `fettle all`: the four services in one process, on an embedded database unless AIOPS_DATABASE_URL names one. */
export async function startAll(env: Environment): Promise<number> {
  const own = readConfig(shape, env);
  const folder = resolve(own.folder);
  const webhookSecret = own.webhookSecret ?? new Secret(randomBytes(32).toString("hex"));
  const settings = {
    ...env,
    AIOPS_WEBHOOK_SECRET: webhookSecret.reveal(),
    ...sealingOf(env, own, folder),
    HYPERVISOR_RECORDINGS_DIR: env["HYPERVISOR_RECORDINGS_DIR"] ?? join(folder, "recordings"),
  };
  await readEveryConfig({
    AIOPS_DATABASE_URL: own.databaseUrl?.reveal() ?? PLACEHOLDER_URL,
    ...settings,
  });
  const tables = await envSections();
  const secrets = [webhookSecret, ...tables.flatMap((table) => secretsIn(table.shape, env))];
  const log = createLogger({ service: "fettle", secrets, file: own.logFile });
  return runService(log, async () =>
    buildService(log, async (stack) => {
      if (sealsByOwnKey(env)) await makeLocalKey(settings, log);
      const databaseUrl = own.databaseUrl?.reveal() ?? (await startOwnDatabase(folder, log, stack));
      const services = await startServices({ ...settings, AIOPS_DATABASE_URL: databaseUrl }, log);
      stack.add("services", async () => services.stop());
      log.info("listening", services.urls);
      return services.urls.runbooks;
    }),
  );
}

/** Stands for the embedded database, whose address is known only when it runs. */
const PLACEHOLDER_URL = "postgres://127.0.0.1/embedded";

/** Every service's configuration, before anything is started. @throws ConfigError with the problems of all */
async function readEveryConfig(env: Environment): Promise<void> {
  const readers = await Promise.all([
    import("../detector/main.ts").then(({ readDetectorConfig }) => readDetectorConfig),
    import("../runbooks/main.ts").then(({ readRunbooksConfig }) => readRunbooksConfig),
    import("../exporter/main.ts").then(({ readExporterConfig }) => readExporterConfig),
    import("../hypervisor/main.ts").then(({ readHypervisorConfig }) => readHypervisorConfig),
  ]);
  const problems = readers.flatMap((read) => problemsOf(() => read(env)));
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
}

function problemsOf(read: () => unknown): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

async function startOwnDatabase(folder: string, log: Log, stack: StopStack): Promise<string> {
  const embedded = await startEmbeddedPostgres(join(folder, "postgres"), log);
  stack.add("embedded database", async () => embedded.stop());
  log.warn(
    "embedded database: for trials only; other commands need AIOPS_DATABASE_URL set to its address",
    { folder: embedded.folder, address: embedded.url }, // trusts this machine, so there is no password to hide
  );
  await migrate(embedded.url, log);
  return embedded.url;
}

/** Without any choice about sealing, exports are sealed by a key of this machine's own: never in the clear by default. */
function sealsByOwnKey(env: Environment): boolean {
  return !Object.entries(env).some(
    ([name, value]) => /^AUDIT_(ENC|PGP|LOCAL_KEY)/.test(name) && value !== "",
  );
}

function sealingOf(
  env: Environment,
  { exportDir }: { readonly exportDir: string | undefined },
  folder: string,
): Environment {
  if (!sealsByOwnKey(env)) return {};
  return {
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: join(folder, "local.key"),
    AUDIT_EXPORT_DIR: exportDir ?? join(folder, "exports"),
  };
}

async function makeLocalKey(settings: Environment, log: Log): Promise<void> {
  const { AUDIT_LOCAL_KEY_FILE: file = "", AUDIT_EXPORT_DIR: exportDir = "" } = settings;
  await mkdir(exportDir, { recursive: true });
  await mkdir(dirname(file), { recursive: true });
  const key = `${randomBytes(32).toString("base64")}\n`;
  await writeFile(file, key, { mode: 0o600, flag: "wx" }).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error; // the key of an earlier start opens the exports of that time
  });
  log.warn(
    "exports are sealed by a key on this machine; set AUDIT_PGP_PUBLIC_KEY_FILE for an auditor",
    {
      file,
    },
  );
}

/**
 * Starts the services, those that receive before those that send. The detector posts to the runbooks service that was
 * started, unless AIOPS_WEBHOOK_URL says otherwise.
 */
export async function startServices(
  env: Environment,
  log: Log,
  overrides: DetectorOverrides = {},
): Promise<AllServices> {
  const [
    { startHypervisor, readHypervisorConfig },
    { startExporter, readExporterConfig },
    runbooksModule,
    detectorModule,
  ] = await Promise.all([
    import("../hypervisor/main.ts"),
    import("../exporter/main.ts"),
    import("../runbooks/main.ts"),
    import("../detector/main.ts"),
  ]);
  const { startRunbooks, readRunbooksConfig } = runbooksModule;
  const { startDetector, readDetectorConfig } = detectorModule;
  const stack = new StopStack(log);
  const start = async (
    name: string,
    begin: (log: Log) => Promise<RunningService>,
  ): Promise<string> => {
    const service = await begin(log.child({ component: name }));
    stack.add(name, async () => service.stop());
    return service.url ?? "";
  };
  try {
    const hypervisor = await start("hypervisor", async (own) =>
      startHypervisor(readHypervisorConfig(env), own),
    );
    const exporter = await start("exporter", async (own) =>
      startExporter(readExporterConfig(env), own),
    );
    const runbooks = await start("runbooks", async (own) =>
      startRunbooks(readRunbooksConfig(env), own),
    );
    const webhookUrl = env["AIOPS_WEBHOOK_URL"] || `${runbooks}/alertmanager`; // empty counts as unset
    const complete = { ...env, AIOPS_WEBHOOK_URL: webhookUrl };
    const detector = await start("detector", async (own) =>
      startDetector(readDetectorConfig(complete), own, overrides),
    );
    return {
      env: complete,
      urls: { detector, runbooks, exporter, hypervisor },
      stop: async () => stack.stop(),
    };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
