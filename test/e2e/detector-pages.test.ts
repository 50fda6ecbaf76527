import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Browser, BrowserContext } from "playwright-core";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { noiseAt, startMetricsTarget, type MetricsTarget } from "../fakes/metrics-target.ts";
import { startChromium } from "../servers/chromium.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";
import { ownPort } from "../servers/unprivileged.ts";

const HISTORY_SECONDS = 2_000;
const TOKEN = "0123456789abcdef0123456789abcdef";

let folder: string;
let testDatabase: TestDatabase;
let target: MetricsTarget;
let prometheus: Prometheus;
let detector: FettleProcess;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pages-"));
  testDatabase = await createTestDatabase();
  target = await startMetricsTarget(0.3);
  const detectorPort = await ownPort();
  prometheus = await startPrometheus({
    scrape: [
      { job: "shop", target: target.target },
      { job: "detector", target: `127.0.0.1:${detectorPort}` },
    ],
    rules: [await readFile("ops/prometheus/rules/aiops.yml", "utf8")],
    history: historyOf(target.target),
  });
  await prometheus.waitForTarget("shop");
  const env = {
    AIOPS_DATABASE_URL: testDatabase.url,
    DETECTOR_API_TOKEN: TOKEN,
    PROM_URL: prometheus.url,
    AIOPS_METRICS: "latency_p99=shop_latency_seconds",
    AIOPS_INTERVAL_SECONDS: "1",
    AIOPS_BACKFILL_POINTS: String(HISTORY_SECONDS - 100),
  };
  detector = await startFettle("detector", "DETECTOR_PORT", env, detectorPort);
  browser = await startChromium();
}, 120_000);

afterAll(async () => {
  await browser.close();
  await detector.stop();
  await prometheus.stop();
  await target.stop();
  await testDatabase.drop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Half an hour of the same gauge, one sample a second, as Prometheus would have scraped it. */
function historyOf(instance: string): string {
  const now = Math.floor(Date.now() / 1000);
  const labels = `namespace="shop",app="checkout",job="shop",instance="${instance}"`;
  const samples = Array.from({ length: HISTORY_SECONDS }, (_, at) => {
    const value = 0.3 * (1 + 0.02 * noiseAt(at));
    return `shop_latency_seconds{${labels}} ${value} ${now - HISTORY_SECONDS + at}`;
  });
  return `# TYPE shop_latency_seconds gauge\n${samples.join("\n")}\n# EOF\n`;
}

interface Listed {
  readonly id: string;
  readonly reason: string;
}

async function openAnomalies(): Promise<readonly Listed[]> {
  const answer = (await (await fetch(`${detector.url}/anomalies?state=open`)).json()) as {
    anomalies: readonly Listed[];
  };
  return answer.anomalies;
}

async function alertFires(): Promise<boolean> {
  const query =
    'ALERTS{alertname="AIOpsAnomalyDetected",alertstate="firing",namespace="shop",app="checkout"}';
  const response = await fetch(
    `${prometheus.url}/api/v1/query?${new URLSearchParams({ query }).toString()}`,
  );
  return (
    ((await response.json()) as { data: { result: readonly unknown[] } }).data.result.length === 1
  );
}

test("with a history to learn from, a shift is told within seconds of the start: reason, metrics, rule", async () => {
  expect(await openAnomalies()).toEqual([]);
  target.setLevel(0.9);

  await waitUntil("the anomaly", async () => (await openAnomalies()).length > 0);
  expect(await openAnomalies()).toMatchObject([{ reason: "level_shift" }]);
  const metrics = await (await fetch(`${detector.url}/metrics`)).text();
  expect(metrics).toMatch(/aiops_anomaly_current\{[^}]*metric="latency_p99"[^}]*\} 1/);
  expect(metrics).toMatch(/aiops_anomaly_info\{[^}]*reason="level_shift"[^}]*\} 1/);
  await waitUntil("the alert rule", alertFires);
}, 60_000);

/** Opens a page and checks what is the same for all: no serious barrier, no script needed, nothing from elsewhere. */
async function visit(context: BrowserContext, path: string) {
  const page = await context.newPage();
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(detector.url)) foreign.push(request.url());
  });
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  await page.goto(`${detector.url}${path}`);
  expect({ foreign, problems }).toEqual({ foreign: [], problems: [] });
  return page;
}

test.each<["light" | "dark", number]>([
  ["light", 1280],
  ["dark", 360],
])(
  "the pages have no serious barrier in %s at %i pixels, and need no script",
  async (colorScheme, width) => {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
    const [anomaly] = await openAnomalies();
    for (const path of ["/", "/anomalies", `/anomalies/${anomaly?.id ?? ""}`]) {
      const page = await visit(context, path);
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(
        ({ impact }) => impact === "serious" || impact === "critical",
      );
      expect(serious.map(({ id, nodes }) => `${path} ${id}: ${nodes[0]?.html ?? ""}`)).toEqual([]);
      const overflow = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      expect(overflow).toBeLessThanOrEqual(0);
    }
    await context.close();
  },
  60_000,
);

test("a person finds the anomaly, its chart and its evidence, with the keyboard alone and without JavaScript", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await visit(context, "/");
  const link = page.getByRole("link", { name: /latency_p99/ }).first();
  await link.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/anomalies\//);

  expect(await page.getByRole("img").first().isVisible()).toBe(true);
  expect(await page.getByText("level shift").first().isVisible()).toBe(true);
  expect(await page.locator("th[scope]").count()).toBeGreaterThan(3);
  await page.screenshot({ path: join(tmpdir(), "fettle-anomaly.png"), fullPage: true });
  await context.close();
}, 30_000);

test("a person narrows the list, says what the anomaly was, and is told what was missing, without JavaScript", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const list = await visit(context, "/anomalies");
  await list.getByLabel("State").selectOption("open");
  await list.getByRole("button", { name: "Show" }).click();
  await list.waitForURL(/state=open/);
  await list
    .getByRole("link", { name: /latency_p99/ })
    .first()
    .click();
  await list.waitForURL(/\/anomalies\/anomaly_/);

  const page = list;
  await page.getByLabel("Expected change").check();
  await page.getByLabel("Note").fill("the release\nof today");
  await page.getByLabel("Your name").fill("Ana");
  await page.getByLabel("Token").fill("not the token");
  await page.getByRole("button", { name: "Save" }).click();
  const alert = page.getByRole("alert");
  await alert.waitFor();
  expect(await alert.textContent()).toContain("Send the bearer token");
  expect(await page.getByLabel("Note").inputValue()).toBe("the release\nof today");

  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("expected change by Ana").waitFor();
  expect(page.url()).toMatch(/\/anomalies\/anomaly_\w+#say$/);
  expect(await page.getByRole("alert").count()).toBe(0);
  await context.close();
}, 30_000);

test("another site's form does not reach the book", async () => {
  const [anomaly] = await openAnomalies();
  const path = `/anomalies/${anomaly?.id ?? ""}`;
  const context = await browser.newContext();
  const page = await context.newPage();
  const fields = { label: "false_positive", by: "Mallory", note: "", token: TOKEN };
  const inputs = Object.entries(fields)
    .map(([name, value]) => `<input name="${name}" value="${value}">`)
    .join("");
  await page.goto(
    `data:text/html,<form method="post" action="${detector.url}${path}/labels">${inputs}<button>Go</button></form>`,
  );
  const answer = page.waitForResponse(/labels/);
  await page.getByRole("button").click();

  expect((await answer).status()).toBe(403);
  expect(await (await fetch(`${detector.url}${path}`)).text()).not.toContain("Mallory");
  await context.close();
}, 30_000);
