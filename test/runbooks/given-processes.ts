import { readFile } from "node:fs/promises";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { startFettle, type FettleProcess } from "../fakes/fettle.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { createTestDatabase } from "../servers/postgres.ts";

export const PROCESS_TOKEN = "awh_process-test-token-0123456789";
export const PROCESS_SECRET = "process-test-approval-secret-0123456789abcdef";

/** Replicas of the runbooks service, each in a process of its own, on one database and one cluster. */
export interface GivenProcesses {
  readonly databaseUrl: string;
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  /** At least one. */
  readonly services: readonly [FettleProcess, ...FettleProcess[]];
  readonly stop: () => Promise<void>;
}

/** @param given `apps` are Deployments of namespace shop with so many `pods` each; `env` is added to what every replica gets */
export async function givenProcesses({
  replicas = 1,
  apps = [],
  pods = 3,
  env = {},
}: {
  readonly replicas?: number;
  readonly apps?: readonly string[];
  readonly pods?: number;
  readonly env?: Readonly<Record<string, string>>;
} = {}): Promise<GivenProcesses> {
  const testDatabase = await createTestDatabase();
  const database = openDatabase(
    { url: testDatabase.url, applicationName: "test", max: 4 },
    silentLog,
  );
  const kubernetes = await startKubernetes({
    deployments: apps.map((name) => ({ namespace: "shop", name, replicas: pods })),
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const start = async () =>
    startFettle("runbooks", "RUNBOOKS_PORT", {
      AIOPS_DATABASE_URL: testDatabase.url,
      KUBECONFIG: kubeconfig.path,
      RUNBOOK_WEBHOOK_TOKEN: PROCESS_TOKEN,
      RUNBOOK_POLICY_CONFIGMAP: "none",
      RUNBOOKS_FILE: "test/fixtures/runbooks-without-collecting.yaml",
      RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
      RUNBOOK_APPROVERS: "ana,ivan",
      RUNBOOK_APPROVAL_SECRET: PROCESS_SECRET,
      ...env,
    });
  const started: FettleProcess[] = [];
  const stop = async () => {
    for (const service of started) await service.stop();
    await kubernetes.stop();
    await kubeconfig.remove();
    await database.close();
    await testDatabase.drop();
  };
  const launch = async () => {
    const service = await start();
    started.push(service);
    return service;
  };
  try {
    const services: [FettleProcess, ...FettleProcess[]] = [await launch()];
    while (services.length < replicas) services.push(await launch());
    return { databaseUrl: testDatabase.url, database, kubernetes, services, stop };
  } catch (error) {
    await stop(); // a test that never began has nobody who stops it
    throw error;
  }
}

/** What a replica needs to really act, as often as a test likes. */
export const ACTING = {
  RUNBOOK_AUTOFIX_ENABLED: "true",
  RUNBOOK_AUTOFIX_DRY_RUN: "false",
  RUNBOOK_CIRCUIT_MAX_HOURLY: "1000",
  RUNBOOK_CIRCUIT_MAX_DAILY: "1000",
  RUNBOOK_MAX_UNHEALTHY_TARGETS: "1000",
  RUNBOOK_MAX_UNHEALTHY_PERCENT: "100",
} as const;

/** Resident memory of a process in MiB: now, and the most that it has been. */
export async function memoryOf({
  pid,
}: FettleProcess): Promise<{ readonly now: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  return { now: mebibytes("VmRSS"), peak: mebibytes("VmHWM") };
}

/** How many rows there are. @param from what follows FROM, the condition included */
export async function count(database: Database, from: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${from}`);
  return rows[0]?.n ?? 0;
}

/** An Alertmanager notification of so many firing alerts of 40 apps, or of one app. */
export function frameOf(
  group: string,
  alerts: number,
  { app, description = "" }: { readonly app?: string; readonly description?: string } = {},
): string {
  return JSON.stringify({
    version: "4",
    receiver: "fettle",
    status: "firing",
    groupKey: `{}:{group="${group}"}`,
    truncatedAlerts: 0,
    alerts: Array.from({ length: alerts }, (_, at) => ({
      status: "firing",
      labels: {
        alertname: "AIOpsAnomalyDetected",
        metric: "latency_p99",
        reason: "level_shift",
        namespace: "shop",
        app: app ?? `app-${at % 40}`,
        ...(app === undefined ? { pod: `pod-${group}-${at}` } : {}),
      },
      annotations: { summary: "p99 latency is 0.9 s, usually 0.3 s", description },
      startsAt: "2026-11-21T03:00:00Z",
      generatorURL: "http://prometheus.monitoring.svc:9090/graph?g0.expr=up",
      fingerprint: `${group}-${at}`,
    })),
  });
}
