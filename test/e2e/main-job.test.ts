import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { makeKeys } from "../../cli/demo/keys.ts";
import type { Database } from "../../lib/postgres.ts";
import { fettle, startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { startKubernetes } from "../fakes/kubernetes.ts";
import { startMetricsTarget } from "../fakes/metrics-target.ts";
import { startOtlpCollector } from "../fakes/otlp.ts";
import { startAlertmanager } from "../servers/alertmanager.ts";
import { startGnupg } from "../servers/gnupg.ts";
import { startSftpServer } from "../servers/openssh.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";
import { startPrometheus } from "../servers/prometheus.ts";
import { openEnvelopeByPython } from "../servers/python.ts";
import { ownPort } from "../servers/unprivileged.ts";

/** What is stopped at the end, in the reverse order. */
const stops: (() => Promise<unknown>)[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "e2e-"));
});

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
  await rm(folder, { recursive: true, force: true });
});

function stopping<T extends { stop: () => Promise<unknown> }>(server: T): T {
  stops.push(async () => server.stop());
  return server;
}

const TOKEN = "awh_e2e-alertmanager-token";
const HMAC_KEY = "e2e-detector-signature-key";

/** Prometheus, Alertmanager, a cluster, a database and the two services, wired as in production. */
async function startWorld() {
  const testDatabase = await createTestDatabase();
  stops.push(async () => testDatabase.drop());
  const database = openTestDatabase(testDatabase.url);
  stops.push(async () => database.close());
  const target = stopping(await startMetricsTarget(0.3));
  const kubernetes = stopping(
    await startKubernetes({
      deployments: [
        { namespace: "shop", name: "checkout", replicas: 3, labels: { app: "checkout" } },
      ],
    }),
  );
  const collector = stopping(await startOtlpCollector());
  const [detectorPort, runbooksPort] = [await ownPort(), await ownPort()];
  const receiverUrl = `http://127.0.0.1:${runbooksPort}/alertmanager`;
  const alertmanager = stopping(
    await startAlertmanager({ receiverUrl, bearerToken: TOKEN, groupInterval: "1s" }),
  );
  const prometheus = stopping(
    await startPrometheus({
      scrape: [
        { job: "shop", target: target.target },
        { job: "detector", target: `127.0.0.1:${detectorPort}` },
      ],
      rules: [await readFile("ops/prometheus/rules/aiops.yml", "utf8")],
      alertmanagerUrl: alertmanager.url,
    }),
  );
  const env = await configuration(testDatabase.url, {
    kubernetes,
    prometheusUrl: prometheus.url,
    collectorUrl: collector.url,
    receiverUrl,
  });
  const runbooks = stopping(await startFettle("runbooks", "RUNBOOKS_PORT", env, runbooksPort));
  const detector = stopping(await startFettle("detector", "DETECTOR_PORT", env, detectorPort));
  return { database, target, kubernetes, collector, prometheus, env, runbooks, detector };
}

interface Wiring {
  readonly kubernetes: { readonly url: string; readonly token: string };
  readonly prometheusUrl: string;
  readonly collectorUrl: string;
  readonly receiverUrl: string;
}

async function configuration(
  databaseUrl: string,
  { kubernetes, prometheusUrl, collectorUrl, receiverUrl }: Wiring,
) {
  const kubeconfig = join(folder, "kubeconfig.json");
  const cluster = { server: kubernetes.url, "insecure-skip-tls-verify": true };
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "e2e",
      clusters: [{ name: "e2e", cluster }],
      users: [{ name: "e2e", user: { token: kubernetes.token } }],
      contexts: [{ name: "e2e", context: { cluster: "e2e", user: "e2e" } }],
    }),
  );
  return {
    AIOPS_DATABASE_URL: databaseUrl,
    PROM_URL: prometheusUrl,
    AIOPS_METRICS: "latency_p99=shop_latency_seconds",
    AIOPS_INTERVAL_SECONDS: "1",
    AIOPS_WARMUP_POINTS: "30",
    AIOPS_BACKFILL_POINTS: "60",
    AIOPS_WEBHOOK_URL: receiverUrl,
    AIOPS_WEBHOOK_SECRET: HMAC_KEY,
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_DRY_RUN: "false",
    RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
    RUNBOOK_APPROVERS: "ana",
    KUBECONFIG: kubeconfig,
    OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl,
    OTEL_BSP_SCHEDULE_DELAY: "200",
  };
}

interface AnomalyRow {
  readonly reason: string;
  readonly opened_at: Date;
  readonly published_at: Date | null;
  readonly closed_at: Date | null;
}

async function anomalies(database: Database): Promise<readonly AnomalyRow[]> {
  return (
    await database.query<AnomalyRow>(
      "SELECT reason, opened_at, published_at, closed_at FROM aiops_anomalies ORDER BY opened_at",
    )
  ).rows;
}

async function stateOfRun(database: Database): Promise<string | undefined> {
  return (await database.query<{ state: string }>("SELECT state FROM runs")).rows[0]?.state;
}

/** Evaluations that the detector has made of the series. */
async function pointsScored({ url }: FettleProcess): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^aiops_series_scored_total(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1] ?? 0);
}

test("a series that shifts level is found, told twice, remediated once, and handed over sealed", async () => {
  const { database, target, kubernetes, collector, prometheus, env, detector } = await startWorld();
  await prometheus.waitForTarget("shop");
  await prometheus.waitForTarget("detector");
  await waitUntil(
    "the detector to know the series",
    async () => (await pointsScored(detector)) > 45,
    90_000,
  );
  expect(await anomalies(database)).toEqual([]);

  target.setLevel(0.9);
  const before = await pointsScored(detector);
  let cycles = 0;
  await waitUntil("the anomaly", async () => {
    cycles = (await pointsScored(detector)) - before;
    return (await anomalies(database)).some(({ published_at }) => published_at !== null);
  });
  const [anomaly] = await anomalies(database);
  expect(anomaly?.reason).toBe("level_shift");
  // Three that see it, after a scrape and with the cycle's own start: a second each, on a machine that has the time.
  expect(cycles).toBeLessThanOrEqual(5);

  const sourcesOfRun =
    "SELECT DISTINCT source FROM episodes WHERE run_id IS NOT NULL ORDER BY source";
  await waitUntil(
    "Alertmanager's own report",
    async () => (await database.query(sourcesOfRun)).rowCount === 2,
  );
  expect(
    (await database.query<{ source: string }>(sourcesOfRun)).rows.map(({ source }) => source),
  ).toEqual(["alertmanager", "detector"]);
  const { rows: runs } = await database.query<{ id: string }>("SELECT id FROM runs");
  expect(runs).toHaveLength(1);
  const id = runs[0]?.id ?? "";
  await waitUntil("the plan", async () => (await stateOfRun(database)) === "approval_pending");
  expect(kubernetes.mutations()).toEqual([]);

  expect(await fettle(["approve", id, "--as", "ana", "--reason", "e2e"], env)).toMatchObject({
    code: 0,
  });
  await waitUntil("the patch", async () => kubernetes.mutations().length > 0);
  target.setLevel(0.3); // the restart helped
  await waitUntil("the run's end", async () => (await stateOfRun(database)) === "succeeded");

  expect(kubernetes.mutations()).toHaveLength(1);
  const { rows: audit } = await database.query<{ event: string }>(
    "SELECT event FROM runbooks_audit WHERE run_id = $1 ORDER BY xid, id",
    [id],
  );
  const events = audit.map(({ event }) => event);
  expect(events.filter((event) => event !== "joined")).toEqual([
    "request",
    "collector_started",
    "collector_finished",
    "approval_pending",
    "approved",
    "intent",
    "executed",
    "verified",
  ]);
  // The first episode opens the run, each other joins it once: Alertmanager's own, and more if the rule resolves and fires again.
  const { rowCount: episodes } = await database.query("SELECT 1 FROM episodes WHERE run_id = $1", [
    id,
  ]);
  expect(events.filter((event) => event === "joined")).toHaveLength(episodes - 1);

  await expectOneTrace(collector.spans);
  await expectSealedRecord(env, database);
}, 240_000);

/** One trace leads from the detector's cycle over the webhook to the call of the cluster. */
async function expectOneTrace(
  spans: Awaited<ReturnType<typeof startOtlpCollector>>["spans"],
): Promise<void> {
  const namesOf = (traceId: string | undefined) =>
    spans.filter((span) => span.traceId === traceId).map(({ name }) => name);
  const traceOf = (name: string) => spans.find((span) => span.name === name)?.traceId;
  await waitUntil("the spans of the run", async () => traceOf("runbooks.intent") !== undefined);

  expect(namesOf(traceOf("runbooks.intent"))).toEqual(
    expect.arrayContaining([
      "detector cycle",
      "detector post",
      "runbooks.receive",
      "runbooks.admit",
      "runbooks.matched",
      "runbooks.intent",
      "PATCH",
    ]),
  );
}

/** Exports to a folder and by SFTP, opens each copy by our own tool, by gpg and by the seed's Python, and compares the rows. */
async function expectSealedRecord(env: Record<string, string>, database: Database): Promise<void> {
  const sftp = stopping(await startSftpServer());
  const keys = await makeKeys(join(folder, "keys"));
  const exports = join(folder, "exports");
  const result = await fettle(["export", "--json"], {
    ...env,
    AUDIT_EXPORT_DIR: exports,
    AUDIT_WORK_DIR: join(folder, "work"),
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY_FILE: keys.pgpPublicKeyFile,
    AUDIT_LOCAL_KEY_FILE: keys.localKeyFile,
    SFTP_HOST: sftp.host,
    SFTP_PORT: String(sftp.port),
    SFTP_USERNAME: sftp.username,
    SFTP_PRIVATE_KEY: sftp.privateKey,
    SFTP_REMOTE_DIR: sftp.folder,
    SFTP_HOST_KEY_SHA256: sftp.hostKeySha256,
  });
  expect(result).toMatchObject({ code: 0 });
  const { rows, files } = JSON.parse(result.stdout) as {
    rows: number;
    files: { name: string; plaintextSha256: string }[];
  };
  const name = files[0]?.name ?? "";
  expect(await readFile(join(sftp.folder, name))).toEqual(await readFile(join(exports, name)));

  const csvFile = join(folder, "audit.csv");
  const opened = await fettle([
    "decrypt",
    join(exports, name),
    "--key",
    keys.localKeyFile,
    "--pgp-private-key",
    keys.pgpPrivateKeyFile,
    "--out",
    csvFile,
  ]);
  expect(opened).toMatchObject({ code: 0 });
  const csv = await readFile(csvFile);
  await expectRowsOfDatabase(csv.toString(), rows, database);

  const message = await openEnvelopeByPython(join(exports, name), keys.localKeyFile, folder);
  const gnupg = stopping(await startGnupg());
  await gnupg.importKey(await readFile(keys.pgpPrivateKeyFile, "utf8"));
  expect(await gnupg.decryptFile(message)).toEqual(csv);
}

async function expectRowsOfDatabase(
  csv: string,
  exported: number,
  database: Database,
): Promise<void> {
  const { rows } = await database.query<{ id: string; event: string }>(
    "SELECT id, event FROM runbooks_audit ORDER BY xid, id",
  );
  const [header = "", ...lines] = csv.trimEnd().split("\n");
  const columns = header.split(",");
  const cell = (line: string, column: string) => line.split(",")[columns.indexOf(column)];

  expect(exported).toBe(rows.length);
  expect(lines.map((line) => ({ id: cell(line, "id"), event: cell(line, "event") }))).toEqual(rows);
}
