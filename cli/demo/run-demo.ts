import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { hasCode } from "../../lib/error.ts";
import { startEmbeddedPostgres } from "../../lib/embedded-postgres.ts";
import { StopStack } from "../../lib/lifecycle.ts";
import { createLogger, type Log } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { Secret } from "../../lib/secret.ts";
import { startServices } from "../all.ts";
import type { Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { acceleratedClock, type AcceleratedClock } from "./clock.ts";
import { demoEnvironment } from "./environment.ts";
import { makeKeys } from "./keys.ts";
import { startKubernetes, type Kubernetes } from "./kubernetes.ts";
import { createNarrator, type Narrator } from "./narrator.ts";
import { startDemoPrometheus } from "./prometheus.ts";
import { shopScenario } from "./scenario.ts";
import { answerPlan } from "./steps/answer.ts";
import { proveExport } from "./steps/export.ts";
import { watchAnomalies } from "./anomaly-watch.ts";
import { awaitAnomaly } from "./steps/detect.ts";
import { showOutcome } from "./steps/outcome.ts";
import { awaitPlan } from "./steps/plan.ts";
import { waitFor } from "./wait.ts";
import type { DemoOptions, DemoWorld } from "./world.ts";

const STEPS = 8;
/** One minute of metrics takes a quarter of a second: the incident comes within seconds, and each cycle can still be seen. */
const RATE = 240;
const MINUTE_MS = 60_000;
/** The built-in incident begins this long after the detector's clock starts, which waits until the detector knows the past. */
const INCIDENT_AFTER_MS = 15 * MINUTE_MS;
/** With a real Prometheus the last hours are lived through again. */
const REPLAY_MS = 2 * 60 * MINUTE_MS;
const PAST_SECONDS = 90;

/**
 * The main job, for a newcomer's eyes: database → source → services → anomaly → plan → approval → dry run → proof. Every
 * line that is printed was observed; a step that does not happen fails the demo.
 */
export async function runDemo(options: DemoOptions, context: Context): Promise<void> {
  const folder = resolve(options.folder);
  await mkdir(dirname(folder), { recursive: true });
  await mkdir(folder).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error; // what lies there is somebody's: the demo removes its database at the end
    throw new CommandFailure(EXIT.usage, `${folder} is there already; name a new folder`);
  });
  const narrator = createNarrator(context, STEPS);
  const webhookSecret = new Secret(crypto.randomUUID());
  const log = createLogger({
    service: "demo",
    file: join(folder, "demo.log"),
    stdout: false,
    secrets: [webhookSecret],
  });
  const stack = new StopStack(log);
  context.out(`Fettle demo. Everything it makes lies in ${folder}`);
  try {
    const world = await startWorld(
      { ...options, folder },
      { context, narrator, log, stack, webhookSecret },
    );
    const anomaly = await awaitAnomaly(world);
    const run = await awaitPlan(anomaly, world);
    await answerPlan(run, world);
    await showOutcome(run, world);
    await proveExport(run, world);
  } finally {
    await stack.stop();
  }
  context.out(
    `\nDone. ${folder} holds the sealed export, the keys that open it, the cluster's request log and the services' log.`,
  );
}

interface Start {
  readonly context: Context;
  readonly narrator: Narrator;
  readonly log: Log;
  readonly stack: StopStack;
  readonly webhookSecret: Secret;
}

async function startWorld(options: DemoOptions, start: Start): Promise<DemoWorld> {
  const { context, narrator, log, stack, webhookSecret } = start;
  narrator.step("PostgreSQL");
  const database = await startEmbeddedPostgres(join(options.folder, "postgres"), log);
  stack.add("database", async () => {
    await database.stop();
    await rm(database.folder, { recursive: true, force: true });
  });
  const migrations = await migrate(database.url, log);
  narrator.say(
    `a real server of its own on ${new URL(database.url).host}, ${migrations.length} migrations applied`,
  );

  narrator.step("Metrics and a cluster");
  const { promUrl, clock } = await startSource(start);
  const kubernetes = await startKubernetes({
    deployments: [
      { namespace: "shop", name: "checkout", replicas: 3, labels: { app: "checkout" } },
    ],
    logFile: join(options.folder, "kubernetes-requests.jsonl"),
  });
  stack.add("kubernetes", async () => kubernetes.stop());
  narrator.say(
    `Kubernetes API stand-in at ${kubernetes.url}: Deployment shop/checkout with 3 pods`,
  );

  narrator.step("Four services");
  const keys = await makeKeys(join(options.folder, "keys"));
  const kubeconfig = join(options.folder, "kubeconfig.json");
  await writeFile(kubeconfig, kubeconfigOf(kubernetes), { mode: 0o600 });
  const anomalies = watchAnomalies();
  const env = demoEnvironment(context.env, {
    ...keys,
    ...options,
    databaseUrl: database.url,
    promUrl,
    kubeconfig,
    webhookSecret,
  });
  const services = await startServices(env, log, {
    clock,
    onAnomaly: anomalies.onAnomaly,
    onProgress: anomalies.onProgress,
  });
  stack.add("services", async () => services.stop());
  for (const [name, url] of Object.entries(services.urls))
    narrator.say(`${name.padEnd(10)} ${url}`);
  await waitFor("the past of the metrics", PAST_SECONDS, async () =>
    Promise.resolve(anomalies.backfilled.size > 0 || undefined),
  );
  clock.run();
  return { context, options, log, narrator, keys, kubernetes, clock, services, anomalies };
}

/** The built-in day with an incident, or the real Prometheus that PROM_URL names, lived through faster. */
async function startSource({
  context,
  narrator,
  stack,
}: Start): Promise<{ promUrl: string; clock: AcceleratedClock }> {
  const real = context.env["PROM_URL"];
  const begin = new Date(Math.floor((Date.now() - REPLAY_MS) / MINUTE_MS) * MINUTE_MS);
  const clock = acceleratedClock(begin, RATE);
  if (real !== undefined && real !== "") {
    narrator.say(`Prometheus at ${real}: its last two hours, ${RATE} times as fast`);
    return { promUrl: real, clock };
  }
  const scenario = shopScenario(new Date(begin.getTime() + INCIDENT_AFTER_MS));
  const source = await startDemoPrometheus(scenario.series, clock);
  stack.add("metrics source", async () => source.stop());
  narrator.say(
    `Prometheus-compatible source at ${source.url}: a day of a shop's metrics, ${RATE} times as fast`,
  );
  narrator.say(
    `an incident is planned for ${scenario.incidentAt.toISOString().slice(11, 16)} UTC; the detector is not told`,
  );
  return { promUrl: source.url, clock };
}

/** The client refuses plain HTTP unless it is told that there is no certificate to verify. */
function kubeconfigOf({ url, token }: Kubernetes): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "demo",
    clusters: [{ name: "demo", cluster: { server: url, "insecure-skip-tls-verify": true } }],
    users: [{ name: "demo", user: { token } }],
    contexts: [{ name: "demo", context: { cluster: "demo", user: "demo" } }],
  });
}
