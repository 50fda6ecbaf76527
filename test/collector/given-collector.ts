import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Database } from "../../lib/postgres.ts";
import { readRunbooksConfig, startRunbooks } from "../../runbooks/main.ts";
import { findCollection } from "../../runbooks/collect/find.ts";
import type { Collection } from "../../runbooks/types/collect.ts";
import { deliver } from "../fakes/alertmanager-sender.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { recordingLog, type RecordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";

const TOKEN = "awh_collector-test-token";

export interface GivenCollector {
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  readonly log: RecordingLog;
  /** For stores in a folder, and whatever else a test writes. */
  readonly folder: string;
  /** An alert about the Deployment; returns the run that it opened. */
  readonly alert: (app?: string, labels?: Readonly<Record<string, string>>) => Promise<string>;
  readonly waitForState: (runId: string, state: string) => Promise<void>;
  readonly waitForCollection: (
    runId: string,
    state: Collection["state"],
  ) => Promise<Collection & { readonly held: Buffer | undefined }>;
  /** The store is asked again now, not after its pause. */
  readonly hurry: () => Promise<void>;
  readonly events: (runId: string) => Promise<readonly string[]>;
  readonly stop: () => Promise<void>;
}

interface GivenOptions {
  readonly env?: (folder: string) => Readonly<Record<string, string>>;
  /** The steps, as YAML. */
  readonly collect?: string;
  /** Of the Deployments. */
  readonly container?: Readonly<Record<string, unknown>>;
}

const STEPS = "[objects, events, logs, rollout_history]";

/** The whole runbooks service with a catalogue that collects, on a database and a cluster of its own. */
export async function givenCollector({
  env = () => ({}),
  collect = STEPS,
  container = {},
}: GivenOptions = {}): Promise<GivenCollector> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-collector-"));
  const runbooks = join(folder, "runbooks.yaml");
  await writeFile(
    runbooks,
    `runbooks:\n  - id: slow\n    title: It is slow\n    match: { metric: latency_p99 }\n    collect: ${collect}\n`,
  );
  const testDatabase = await createTestDatabase();
  const database = openTestDatabase(testDatabase.url);
  const kubernetes = await startKubernetes({
    deployments: ["checkout", "web", "api"].map((name) => ({
      namespace: "shop",
      name,
      replicas: 3,
      container,
    })),
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const log = recordingLog();
  const config = readRunbooksConfig({
    AIOPS_DATABASE_URL: testDatabase.url,
    RUNBOOKS_PORT: "0",
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_POLICY: "latency_p99=rollout_restart",
    RUNBOOK_POLICY_CONFIGMAP: "none",
    RUNBOOK_APPROVERS: "ana",
    RUNBOOK_APPROVAL_SECRET: "collector-test-approval-secret-0123456789",
    RUNBOOKS_FILE: runbooks,
    KUBECONFIG: kubeconfig.path,
    ...env(folder),
  });
  // The steps have 10 s, of which a busy machine needs many to load the client.
  await import("@kubernetes/client-node");
  const service = await startRunbooks(config, log);
  return {
    database,
    kubernetes,
    log,
    folder,
    alert: async (app = "checkout", labels = {}) => {
      await send(service.url ?? "", app, labels);
      const key = `default/shop/deployment/${app}`;
      let runId = "";
      await waitUntil("the run", async () => {
        const { rows } = await database.query<{ id: string }>(
          "SELECT id FROM runs WHERE target_key = $1",
          [key],
        );
        runId = rows[0]?.id ?? "";
        return runId !== "";
      });
      return runId;
    },
    waitForState: async (runId, state) => {
      await waitUntil(`the run to be ${state}`, async () => {
        const { rows } = await database.query<{ state: string }>(
          "SELECT state FROM runs WHERE id = $1",
          [runId],
        );
        return rows[0]?.state === state;
      });
    },
    waitForCollection: async (runId, state) => {
      await waitUntil(`the diagnostics to be ${state}`, async () => {
        return (await findCollection(runId, database))?.state === state;
      });
      const found = await findCollection(runId, database);
      const { rows } = await database.query<{ held: Buffer | null }>(
        "SELECT held FROM collections WHERE run_id = $1",
        [runId],
      );
      if (found === undefined) throw new Error("it is gone");
      return { ...found, held: rows[0]?.held ?? undefined };
    },
    hurry: async () => {
      await database.query("UPDATE collections SET next_at = now() WHERE next_at IS NOT NULL");
    },
    events: async (runId) => {
      const { rows } = await database.query<{ event: string }>(
        "SELECT event FROM runbooks_audit WHERE run_id = $1 ORDER BY id",
        [runId],
      );
      return rows.map(({ event }) => event);
    },
    stop: async () => {
      await service.stop();
      await kubernetes.stop();
      await kubeconfig.remove();
      await database.close();
      await testDatabase.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function send(
  url: string,
  app: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const alert = {
    status: "firing",
    labels: { alertname: "Slow", metric: "latency_p99", namespace: "shop", app, ...labels },
    annotations: { summary: "p99 latency is 0.9 s" },
    startsAt: new Date(Date.now() - 60_000).toISOString(),
  };
  const frame = { version: "4", receiver: "fettle", status: "firing", alerts: [alert] };
  const headers = { authorization: `Bearer ${TOKEN}` };
  const answer = await deliver(`${url}/alertmanager`, JSON.stringify(frame), headers);
  if (answer.status !== 202) throw new Error(`the alert was answered ${answer.status}`);
}

const run = promisify(execFile);

/** A bundle's files by their names, as the system's own tar unpacks them. */
export async function unpack(bundle: Buffer): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-bundle-"));
  try {
    const path = join(folder, "bundle.tar.gz");
    await writeFile(path, bundle);
    const { stdout } = await run("tar", ["-tzf", path]);
    const names = stdout.split("\n").filter((name) => name !== "");
    const files = await Promise.all(
      names.map(async (name) => {
        const { stdout: text } = await run("tar", ["-xzOf", path, name], {
          maxBuffer: 64 * 1024 * 1024,
        });
        return [name, text] as const;
      }),
    );
    return new Map(files);
  } finally {
    await rm(folder, { recursive: true });
  }
}
