import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { DetectorOverrides } from "../detector/main.ts";
import { secretsIn, type Environment } from "../lib/config.ts";
import { hasCode } from "../lib/error.ts";
import { startEmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { runService, StopStack, type RunningService } from "../lib/lifecycle.ts";
import { createLogger, type Log } from "../lib/log.ts";
import { migrate } from "../lib/migrate.ts";
import { Secret } from "../lib/secret.ts";
import { envSections } from "./env-example.ts";

/** The four services, where they listen, and the configuration that they were given. */
export interface AllServices extends RunningService {
  readonly env: Environment;
  readonly urls: Readonly<Record<"detector" | "runbooks" | "exporter" | "hypervisor", string>>;
}

/** `fettle all`: the four services in one process, on an embedded database unless AIOPS_DATABASE_URL names one. */
export async function startAll(env: Environment): Promise<number> {
  const webhookSecret = new Secret(env["AIOPS_WEBHOOK_SECRET"] || randomBytes(32).toString("hex"));
  const tables = await envSections();
  const log = createLogger({
    service: "fettle",
    secrets: [webhookSecret, ...tables.flatMap(({ shape }) => secretsIn(shape, env))],
    file: env["LOG_FILE"],
  });
  return runService(log, async () => {
    const stack = new StopStack(log);
    try {
      const folder = resolve(env["FETTLE_FOLDER"] ?? ".fettle");
      const withDatabase = await databaseFor(env, folder, log, stack);
      const complete = await sealingFor(
        { ...withDatabase, AIOPS_WEBHOOK_SECRET: webhookSecret.reveal() },
        folder,
        log,
      );
      const services = await startServices(complete, log);
      stack.add("services", async () => services.stop());
      log.info("listening", services.urls);
      return { stop: async () => stack.stop() };
    } catch (error) {
      await stack.stop();
      throw error;
    }
  });
}

async function databaseFor(
  env: Environment,
  folder: string,
  log: Log,
  stack: StopStack,
): Promise<Environment> {
  if ((env["AIOPS_DATABASE_URL"] ?? "") !== "") return env;
  const embedded = await startEmbeddedPostgres(join(folder, "postgres"), log);
  stack.add("embedded database", async () => embedded.stop());
  log.warn("embedded database: for trials only; set AIOPS_DATABASE_URL in production", {
    folder: embedded.folder,
  });
  await migrate(embedded.url, log);
  return { ...env, AIOPS_DATABASE_URL: embedded.url };
}

/** Without any choice about sealing, exports are sealed by a key of this machine's own: never in the clear by default. */
async function sealingFor(env: Environment, folder: string, log: Log): Promise<Environment> {
  const chosen = Object.keys(env).some(
    (name) => /^AUDIT_(ENC|PGP|LOCAL_KEY)/.test(name) && env[name] !== "",
  );
  if (chosen) return env;
  const localKeyFile = join(folder, "local.key");
  await mkdir(folder, { recursive: true });
  const key = `${randomBytes(32).toString("base64")}\n`;
  await writeFile(localKeyFile, key, { mode: 0o600, flag: "wx" }).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error; // the key of an earlier start opens the exports of that time
  });
  const exportDir = env["AUDIT_EXPORT_DIR"] ?? join(folder, "exports");
  await mkdir(exportDir, { recursive: true });
  log.warn(
    "exports are sealed by a key on this machine; set AUDIT_PGP_PUBLIC_KEY_FILE for an auditor",
    { localKeyFile },
  );
  return {
    ...env,
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: localKeyFile,
    AUDIT_EXPORT_DIR: exportDir,
  };
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
