import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { hasten } from "../../ops/prometheus/hasten.ts";
import { startFettle, waitUntil } from "../fakes/fettle.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";
import { ownPort } from "../servers/unprivileged.ts";
import { startTrouble, type Trouble } from "./given-trouble.ts";

const FOLDER = "ops/prometheus/rules";
/** Alerts are there within some seconds; a busy machine may need many times that. */
const DEADLINE_MS = 90_000;

let rules: readonly string[];
let trouble: Trouble;
let prometheus: Prometheus;

beforeAll(async () => {
  const names = await readdir(FOLDER);
  rules = await Promise.all(names.map(async (name) => readFile(join(FOLDER, name), "utf8")));
  trouble = await startTrouble();
  const { target, discoveryUrl } = trouble;
  prometheus = await startPrometheus({
    rules: rules.map(hasten),
    scrape: [
      { job: "detector", target, metricsPath: "/detector" },
      { job: "runbooks", target, metricsPath: "/runbooks" },
      { job: "exporter", target, metricsPath: "/exporter" },
      { job: "surroundings", target, metricsPath: "/surroundings" },
      { job: "backend", target, metricsPath: "/backend" },
      { job: "hypervisor", discoveryUrl, metricsPath: "/runbooks" },
    ],
  });
  for (const job of ["detector", "runbooks", "exporter", "backend", "hypervisor"])
    await prometheus.waitForTarget(job);
}, DEADLINE_MS);

afterAll(async () => {
  await prometheus.stop();
  await trouble.stop();
});

test(
  "each alert fires when its trouble comes and resolves when it goes",
  async () => {
    const all = rules.flatMap((text) =>
      [...text.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? ""),
    );
    expect(all.length).toBeGreaterThan(30);
    await waitUntil("silence, but for the watchdog", async () => isOnlyWatchdog(), DEADLINE_MS);

    const seen = new Set<string>();
    trouble.begin();
    await waitUntil(
      "every alert to fire",
      async () => {
        for (const name of await firing()) seen.add(name);
        return all.every((name) => seen.has(name));
      },
      DEADLINE_MS,
    ).catch(() => undefined); // the comparison below names those that did not
    expect([...seen].sort()).toEqual([...all].sort());
    // A template that cannot be filled in is no failure for Prometheus: it tells the error, or "no value", at night.
    expect((await texts()).filter((text) => /<error|no value|^\s*$/i.test(text))).toEqual([]);

    trouble.end();
    await waitUntil("every alert to resolve", async () => isOnlyWatchdog(), DEADLINE_MS).catch(
      () => undefined,
    );
    expect(await firing()).toEqual(["Watchdog"]);
  },
  4 * DEADLINE_MS,
);

test(
  "a detector that is killed is told of by its name, and no more once it is back",
  async () => {
    const port = await ownPort();
    const target = `127.0.0.1:${port}`;
    const ofDetector = await startPrometheus({
      rules: [hasten(await readFile(join(FOLDER, "availability.yml"), "utf8"))],
      scrape: [{ job: "detector", target }],
    });
    const env = { PROM_URL: ofDetector.url, AIOPS_METRICS: "one=vector(1)" };
    const start = async () => startFettle("detector", "DETECTOR_PORT", env, port);
    const isDown = async () => {
      const { data } = await readAlerts(ofDetector.url);
      return data.alerts.some(
        ({ state, labels }) =>
          state === "firing" && labels.alertname === "BackendDown" && labels.job === "detector",
      );
    };
    let detector = await start();
    try {
      await ofDetector.waitForTarget("detector");
      await waitUntil("the alert to be silent", async () => !(await isDown()), DEADLINE_MS);

      await detector.kill();
      await waitUntil("the alert to fire", isDown, DEADLINE_MS);
      expect(await isDown()).toBe(true);

      detector = await start();
      await waitUntil("the alert to resolve", async () => !(await isDown()), DEADLINE_MS);
    } finally {
      await detector.kill();
      await ofDetector.stop();
    }
  },
  4 * DEADLINE_MS,
);

async function isOnlyWatchdog(): Promise<boolean> {
  const names = await firing();
  return names.length === 1 && names[0] === "Watchdog";
}

interface Alerts {
  readonly data: {
    readonly alerts: readonly {
      readonly state: string;
      readonly labels: { readonly alertname: string; readonly job?: string };
      readonly annotations: { readonly summary?: string; readonly description?: string };
    }[];
  };
}

async function texts(): Promise<readonly string[]> {
  const { data } = await readAlerts();
  return data.alerts.flatMap(({ annotations: { summary = "", description = "" } }) => [
    summary,
    description,
  ]);
}

async function readAlerts(url = prometheus.url): Promise<Alerts> {
  return (await (await fetch(`${url}/api/v1/alerts`)).json()) as Alerts;
}

async function firing(): Promise<readonly string[]> {
  const { data } = await readAlerts();
  const names = data.alerts
    .filter(({ state }) => state === "firing")
    .map(({ labels }) => labels.alertname);
  return [...new Set(names)];
}
