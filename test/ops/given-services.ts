import { mkdir, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { startFettle, type FettleProcess } from "../fakes/fettle.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { fromRun, ownPort } from "../servers/unprivileged.ts";
import { startRelay, type Relay } from "./given-relay.ts";

export const WEBHOOK_TOKEN = "alerts-test-webhook-token-0123456789";
const REPORT_TOKEN = "alerts-test-report-token-0123456789abcdef";
const CATALOG = `runbooks:
  - id: anomaly
    title: A metric behaves strangely
    match: { labels: { alertname: AIOpsAnomalyDetected } }
    collect: [objects]
`;
const POLICY = "queue=rollout_restart";
/** One more than what a receiver lets one address have, and some. */
const CONNECTIONS = 260;
const CLOCK_AHEAD_MS = 45_000;

/** Each on a port of its own, which stays its own while it is down. */
const NAMES = ["detector", "receiver", "executor", "exporter", "hypervisor"] as const;
type Name = (typeof NAMES)[number];
type Env = Readonly<Record<string, string>>;

/** The services as processes, and all that they depend on; each can be made to fail. */
export interface Services {
  readonly targetOf: (name: Name) => string;
  readonly urlOf: (name: Name) => string;
  readonly start: (name: Name, more?: Env) => Promise<void>;
  readonly kill: (name: Name) => Promise<void>;
  readonly pidOf: (name: Name) => number;
  /** The runbooks', the exporter's and the hypervisor's; the detector has one of its own. */
  readonly sql: (statement: string) => Promise<void>;
  readonly detectorSql: (statement: string) => Promise<void>;
  readonly detectorDatabase: TcpProxy;
  readonly prometheus: Relay;
  readonly slack: Relay;
  readonly webhook: Relay;
  readonly bucket: FakeS3;
  readonly writePolicy: (text?: string) => void;
  readonly writeCatalog: (text?: string) => Promise<void>;
  /** The folder of exports is there, or a file in its place. */
  readonly mountExports: (mounted: boolean) => Promise<void>;
  readonly reportDrill: () => Promise<number>;
  readonly openConnections: () => () => void;
  /** Ends with what it returns. */
  readonly openTransaction: () => Promise<() => Promise<void>>;
  readonly stop: () => Promise<void>;
}

/** @param prometheusUrl who watches the services, and is asked by the detector */
export async function givenServices(ports: Ports, prometheusUrl: string): Promise<Services> {
  const folder = join(fromRun("FETTLE_TEST_FOLDER"), "alerts");
  await mkdir(folder, { recursive: true });
  const database = await createTestDatabase();
  const ofDetector = await createTestDatabase();
  const { port: databasePort, hostname } = new URL(ofDetector.url);
  const detectorDatabase = await startTcpProxy({ host: hostname, port: Number(databasePort) });
  const [prometheus, slack, webhook] = [
    await startRelay(prometheusUrl),
    await startRelay(),
    await startRelay(),
  ];
  const bucket = await startS3();
  const kubernetes = await startKubernetes({
    deployments: [{ namespace: "shop", name: "web", replicas: 2 }],
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const catalog = join(folder, "runbooks.yaml");
  const exports = join(folder, "exports");
  const variables = {
    ...runbooksEnv(bucket, slack),
    KUBECONFIG: kubeconfig.path,
    RUNBOOKS_FILE: catalog,
    AIOPS_DATABASE_URL: database.url,
  };
  const envs: Readonly<Record<Name, Env>> = {
    detector: {
      AIOPS_DATABASE_URL: Object.assign(new URL(ofDetector.url), {
        host: `127.0.0.1:${detectorDatabase.port}`,
      }).href,
      PROM_URL: prometheus.url,
      AIOPS_METRICS:
        'queue=shop_queue_length{of=""};shards=shop_shard_size;orders=shop_orders;nothing=shop_nothing',
      AIOPS_MAX_SERIES: "4",
      AIOPS_WARMUP_POINTS: "30",
      AIOPS_BACKFILL_POINTS: "150",
      AIOPS_INTERVAL_SECONDS: "1",
      AIOPS_WEBHOOK_URL: `${webhook.url}/alertmanager`,
      AIOPS_WEBHOOK_SECRET: "alerts-test-detector-secret-0123456789",
    },
    receiver: { ...variables, NODE_OPTIONS: movableClock() },
    executor: variables,
    exporter: {
      AIOPS_DATABASE_URL: database.url,
      AUDIT_ENCRYPTION: "off",
      AUDIT_EXPORT_DIR: exports,
      AUDIT_WORK_DIR: join(folder, "work"),
    },
    hypervisor: { AIOPS_DATABASE_URL: database.url, HYPERVISOR_API_TOKEN: REPORT_TOKEN },
  };
  const clients = await Promise.all([connected(database.url), connected(ofDetector.url)]);
  const running = new Map<Name, FettleProcess>();
  const urlOf = (name: Name) => `http://${targetOf(ports, name)}`;
  const writeCatalog = async (text = CATALOG) => writeFile(catalog, text);
  await writeCatalog();
  writePolicyTo(kubernetes, POLICY);
  return {
    ...{ detectorDatabase, prometheus, slack, webhook, bucket, urlOf, writeCatalog },
    targetOf: (name) => targetOf(ports, name),
    start: async (name, more = {}) => {
      const [command, variable] = COMMANDS[name];
      running.set(
        name,
        await startFettle(command, variable, { ...envs[name], ...more }, ports[name]),
      );
    },
    kill: async (name) => running.get(name)?.kill(),
    pidOf: (name) => running.get(name)?.pid ?? 0,
    sql: async (statement) => {
      await clients[0].query(statement);
    },
    detectorSql: async (statement) => {
      await clients[1].query(statement);
    },
    writePolicy: (text = POLICY) => {
      writePolicyTo(kubernetes, text);
    },
    mountExports: async (mounted) => {
      await rm(exports, { recursive: true, force: true });
      await (mounted ? mkdir(exports, { mode: 0o700 }) : writeFile(exports, ""));
    },
    reportDrill: async () => {
      const headers = { authorization: `Bearer ${REPORT_TOKEN}` };
      const url = `${urlOf("hypervisor")}/metrics/drill-success`;
      return (await fetch(url, { method: "POST", headers })).status;
    },
    openConnections: () => openConnections(ports.receiver),
    openTransaction: async () => {
      const client = await connected(database.url);
      await client.query("BEGIN; SELECT pg_current_xact_id()");
      return async () => client.end();
    },
    stop: async () => {
      for (const one of running.values()) await one.kill();
      for (const client of clients) await client.end();
      for (const one of [prometheus, slack, webhook, bucket, kubernetes, detectorDatabase])
        await one.stop();
      await kubeconfig.remove();
      await rm(folder, { recursive: true });
      await database.drop();
      await ofDetector.drop();
    },
  };
}

export type Ports = Readonly<Record<Name, number>>;

export async function choosePorts(): Promise<Ports> {
  const ports: Partial<Record<Name, number>> = {};
  for (const name of NAMES) ports[name] = await ownPort();
  return ports as Ports;
}

export function targetOf(ports: Ports, name: Name): string {
  return `127.0.0.1:${ports[name]}`;
}

const COMMANDS: Readonly<Record<Name, readonly [command: string, port: string]>> = {
  detector: ["detector", "DETECTOR_PORT"],
  receiver: ["runbooks --role receiver", "RUNBOOKS_PORT"],
  executor: ["runbooks --role executor", "RUNBOOKS_PORT"],
  exporter: ["exporter", "EXPORTER_PORT"],
  hypervisor: ["hypervisor", "HYPERVISOR_PORT"],
};

function runbooksEnv(bucket: FakeS3, slack: Relay): Env {
  return {
    RUNBOOK_WEBHOOK_TOKEN: WEBHOOK_TOKEN,
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_DRY_RUN: "false",
    RUNBOOK_AUTOFIX_REQUIRE_APPROVAL: "false",
    RUNBOOK_VERIFY_SECONDS: "5",
    RUNBOOK_POLICY_CONFIGMAP: "runbooks/runbooks-policy",
    RUNBOOKS_SLACK_WEBHOOK: `${slack.url}/slack`,
    RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
    COLLECTOR_S3_BUCKET: bucket.bucket,
    COLLECTOR_S3_REGION: "eu-central-1",
    COLLECTOR_S3_ENDPOINT: bucket.url,
    AWS_ACCESS_KEY_ID: bucket.key.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.key.secretAccessKey,
  };
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: "operator" });
  await client.connect();
  return client;
}

function writePolicyTo(kubernetes: Kubernetes, text: string): void {
  kubernetes.put("configmaps", {
    metadata: { namespace: "runbooks", name: "runbooks-policy" },
    data: { default: text },
  });
}

/** The process's clock goes ahead, or is right again, at each SIGUSR2. */
function movableClock(): string {
  const source = `let ahead = 0; const Real = Date;
process.on("SIGUSR2", () => { ahead = ${CLOCK_AHEAD_MS} - ahead; });
globalThis.Date = class extends Real {
  constructor(...parts) { if (parts.length === 0) super(Real.now() + ahead); else super(...parts); }
  static now() { return Real.now() + ahead; }
};`;
  return `--import=data:text/javascript,${encodeURIComponent(source)}`;
}

/** By an address that is not the machine's own; those of 127.0.0.1 are not counted. */
function openConnections(port: number): () => void {
  const sockets: Socket[] = [];
  for (let count = 0; count < CONNECTIONS; count += 1) {
    const socket = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
    socket.on("error", () => undefined); // refused, as it should be
    sockets.push(socket);
  }
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}
