import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { forVersion } from "../../ops/check/alertmanager.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startAlertmanager, type Alertmanager } from "../servers/alertmanager.ts";

/** As the vendors' endpoints and the file of the shipped configuration, but on this machine and at once. */
const TOKEN = "awh_shipped-configuration";
const DEADLINE_MS = 30_000;

interface Delivery {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { readonly alerts?: readonly { labels: Readonly<Record<string, string>> }[] };
}

const deliveries: Delivery[] = [];
let receiver: Server;
let alertmanager: Alertmanager;
let folder: string;

beforeAll(async () => {
  receiver = createServer((request, response) => {
    void text(request).then((body) => {
      deliveries.push({
        path: request.url ?? "",
        authorization: request.headers.authorization,
        body: JSON.parse(body) as Delivery["body"],
      });
      response.end("ok");
    });
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const base = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), "secrets-"));
  await chmod(folder, 0o755);
  const secrets = {
    "fettle-token": TOKEN,
    "slack-url": `${base}/slack`,
    "discord-url": `${base}/discord`,
    "pagerduty-key": "0123456789abcdef0123456789abcdef",
    "smtp-password": "unused",
  };
  for (const [name, value] of Object.entries(secrets)) await writeFile(join(folder, name), value);
  const shipped = await readFile("ops/alertmanager/alertmanager-people.yml", "utf8");
  const config = forVersion(shipped, "version 0.25.0")
    .replaceAll("http://runbooks:8080", base)
    .replaceAll("/etc/alertmanager/secrets", folder)
    .replace("routing_key_file", `url: ${base}/pagerduty\n        routing_key_file`)
    .replace("smtp.example.com:587", "127.0.0.1:1")
    .replaceAll("group_wait: 30s", "group_wait: 0s");
  alertmanager = await startAlertmanager({ config });
}, DEADLINE_MS);

afterAll(async () => {
  await alertmanager.stop();
  receiver.closeAllConnections();
  receiver.close();
  await rm(folder, { recursive: true });
});

test("Fettle gets every alert with its token, people by severity, and the watchdog nobody but its switch", async () => {
  await fire("BackendDown", "critical");
  await fire("CostSpikeCluster", "warning");
  await fire("Watchdog", "none");

  await waitUntil("all deliveries", async () => deliveries.length >= 7);
  expect(told("/alertmanager")).toEqual(["BackendDown", "CostSpikeCluster"]);
  expect(deliveries.find(({ path }) => path === "/alertmanager")?.authorization).toBe(
    `Bearer ${TOKEN}`,
  );
  expect(count("/slack")).toBe(2);
  expect(count("/discord")).toBe(2);
  expect(count("/pagerduty")).toBe(1);
  expect(deliveries).toHaveLength(7);
});

test("an outage that is told fast mutes the slower words about it, for the same application only", async () => {
  deliveries.length = 0;
  await fire("SLOErrorBudgetBurnFast", "critical", "web");
  await waitUntil("the first", async () => told("/alertmanager").length === 1);
  await fire("SLOErrorBudgetBurn", "warning", "web");
  await fire("SLOErrorBudgetBurn", "warning", "api");
  await waitUntil("the other application's", async () =>
    deliveries.some(({ body }) => body.alerts?.some(({ labels }) => labels["app"] === "api")),
  );

  const labels = deliveries.flatMap(({ body }) => body.alerts ?? []).map((alert) => alert.labels);
  expect(
    labels.filter(({ alertname, app }) => alertname === "SLOErrorBudgetBurn" && app === "web"),
  ).toEqual([]);
});

test("a version that knows the webhook's timeout gets it, an older one does not", async () => {
  const shipped = await readFile("ops/alertmanager/alertmanager.yml", "utf8");

  expect(shipped).toContain("timeout: 10s");
  expect(forVersion(shipped, "amtool, version 0.29.0")).toBe(shipped);
  expect(forVersion(shipped, "amtool, version 0.27.0")).not.toContain("timeout: 10s");
});

function told(path: string): readonly (string | undefined)[] {
  return deliveries
    .filter((delivery) => delivery.path === path)
    .flatMap(({ body }) => body.alerts ?? [])
    .map(({ labels }) => labels["alertname"])
    .sort();
}

function count(path: string): number {
  return deliveries.filter((delivery) => delivery.path === path).length;
}

async function fire(alertname: string, severity: string, app = "shop"): Promise<void> {
  const alert = {
    labels: { alertname, severity, app, namespace: app },
    annotations: { summary: alertname, description: "", runbook_url: "" },
    startsAt: new Date().toISOString(),
  };
  const response = await fetch(`${alertmanager.url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([alert]),
  });
  expect(response.status).toBe(200);
}
