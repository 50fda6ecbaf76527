import AxeBuilder from "@axe-core/playwright";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { linkToken } from "../../runbooks/approval/links.ts";
import { APPROVAL_SECRET, givenService, type GivenService } from "../runbooks/given-service.ts";
import {
  API_TOKEN,
  PAGES_ENV,
  givenQuestion,
  look,
  lookJson,
  send,
  type GivenQuestion,
} from "../runbooks/pages/given-pages.ts";
import { startChromium } from "../servers/chromium.ts";
import { visitor } from "./visitor.ts";

let service: GivenService;
let browser: Browser;
let question: GivenQuestion;

beforeAll(async () => {
  service = await givenService({
    ...PAGES_ENV,
    RUNBOOK_AUTOFIX_POLICY: "latency_p99=rollout_restart",
    RUNBOOK_APPROVAL_SECONDS: "3600",
  });
  browser = await startChromium();
  question = await givenQuestion(service, {
    annotations: { summary: "p99 is 0.9 s, usually 0.3 s", sparkline: "▁▁▁▂▁▁▇█" },
  });
}, 90_000);
afterAll(async () => {
  await browser.close();
  await service.stop();
}, 60_000);

const at = () => ({ url: service.url, browser });

const FIRST_VIEW_BYTES_MAX = 100 * 1024;

async function pathsOfAll(): Promise<readonly string[]> {
  return [
    ...["/", "/runs", "/runs?state=succeeded", `/runs/${question.runId}`],
    ...["/approvals", "/approvals?state=decided", `/approvals/${question.approvalId}`],
    ...["/audit", "/breakers", "/policy", "/policy?namespace=shop&app=web&trigger=latency_p99"],
    ...["/backtests", await givenBacktest()],
    ...["/sign-in", "/nowhere", "/runs?limit=0"],
    `/approve?${new URLSearchParams({ id: question.approvalId, token: await tokenOf("ana", question) }).toString()}`,
  ];
}

let backtest: Promise<string> | undefined;

/** Tried by a person without JavaScript, once. */
async function givenBacktest(): Promise<string> {
  backtest ??= (async () => {
    const { context, page } = await visitor(at(), { javaScriptEnabled: false });
    await page.goto(`${service.url}/backtests`);
    await page.getByLabel(/^Policy/).fill("latency_p99=scale_up:+1{mode=auto}");
    await page.getByLabel("Your name").fill("ana");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.waitForURL(/\/backtests\/bt_/);
    const { pathname } = new URL(page.url());
    await context.close();
    return pathname;
  })();
  return backtest;
}

async function tokenOf(person: string, { approvalId }: GivenQuestion): Promise<string> {
  const approval = await findApproval(approvalId, service.database);
  if (approval === undefined) throw new Error("the request is gone");
  return linkToken(approval, person, new Secret(APPROVAL_SECRET));
}

/** Adds up what moves without anybody having touched anything. */
const COUNT_SHIFTS = `
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });`;

async function expectSound(page: Page, path: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(serious.map(({ id, nodes }) => `${path} ${id}: ${nodes[0]?.html ?? ""}`)).toEqual([]);
  const overflow = await page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  expect([path, overflow]).toEqual([path, 0]);
  expect([path, await page.evaluate("window.shifted")]).toEqual([path, 0]);
}

describe.each<["light" | "dark", number]>([
  ["light", 1280],
  ["dark", 360],
])("in %s at %i pixels", (colorScheme, width) => {
  test("no page has a serious barrier, moves, or is wider than the screen", async () => {
    const { context, page, problems } = await visitor(at(), {
      colorScheme,
      viewport: { width, height: 800 },
    });
    await page.addInitScript(COUNT_SHIFTS);
    for (const path of await pathsOfAll()) {
      await page.goto(`${service.url}${path}`);
      await expectSound(page, path);
    }
    expect(problems).toEqual([]);
    await context.close();
  }, 300_000); // a busy machine
});

test("a stranger gets a page that says what is missing, and lands where he wanted to go", async () => {
  const { context, page, problems } = await visitor(at(), {}, { signedIn: false });
  const path = `/approvals/${question.approvalId}`;
  await page.goto(`${service.url}${path}`);
  await page.getByLabel("Token").fill("not the token");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  expect(await page.getByRole("alert").textContent()).toContain("This is not the token.");
  await page.getByLabel("Token").fill(API_TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /Approval needed/ }).waitFor();

  expect(page.url()).toBe(`${service.url}${path}`);
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({
    name: "__Host-fettle",
    httpOnly: true,
    secure: true,
    sameSite: "Lax",
  });
  expect(problems).toEqual([]);
  await context.close();
}, 60_000);

test("with the keyboard alone and without JavaScript a person finds the question and answers it", async () => {
  const own = await givenQuestion(service);
  const { context, page } = await visitor(at(), { javaScriptEnabled: false });
  await page.goto(`${service.url}/`);
  await page.keyboard.press("Tab");
  expect(await page.locator(":focus").textContent()).toBe("Skip to the content");
  const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
  expect(outline).toBe("solid");
  const link = page.getByRole("link", { name: `shop/${own.app}` }).first();
  await link.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/approvals\/apr_/);

  const query = new URLSearchParams({ id: own.approvalId, token: await tokenOf("ivan", own) });
  await page.getByLabel("Your personal link").focus();
  await page.keyboard.insertText(`https://fettle.example/approve?${query.toString()}`);
  await page.keyboard.press("Tab");
  await page.keyboard.insertText("seen it before");
  await page.keyboard.press("Enter"); // of two buttons it must choose none
  await page.keyboard.press("Tab");
  expect(await page.locator(":focus").textContent()).toMatch(/Approve/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Approved" }).waitFor();

  await page.goto(`${service.url}/approvals/${own.approvalId}`);
  expect(await page.locator("main").textContent()).toContain("Already decided");
  expect(await page.locator("main").textContent()).toContain("by ivan");
  await context.close();
}, 60_000);

test("a run's page follows the run, and keeps what a person has typed", async () => {
  const own = await givenQuestion(service);
  const { context, page, problems } = await visitor(at());
  await page.goto(`${service.url}/runs/${own.runId}`);
  await page.getByLabel("Reason").fill("half a sen");
  expect(await page.locator("#run-status").textContent()).toContain("approval pending");

  await fetch(`${service.url}/runs/${own.runId}/cancel`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_TOKEN}` },
    body: new URLSearchParams({ by: "somebody else" }),
    redirect: "manual",
  });
  await page.locator("#run-status", { hasText: "cancelled by somebody else" }).waitFor();

  expect(await page.locator("#live").textContent()).toContain("cancelled");
  expect(await page.getByLabel("Reason").inputValue()).toBe("half a sen");
  expect(await page.locator("time").first().getAttribute("title")).toMatch(/\d/);
  expect(problems).toEqual([]);
  await context.close();
}, 60_000);

test("where no events come, a run's page looks by itself; and a person signs out", async () => {
  const own = await givenQuestion(service);
  const { context, page } = await visitor(at());
  await page.route("**/stream", async (route) => route.fulfill({ status: 503 }));
  await page.goto(`${service.url}/runs/${own.runId}`);
  await page.getByLabel("Your name").fill("ana");
  await page.getByRole("button", { name: "Cancel the run" }).focus();
  await lookJson(service, `/runs/${own.runId}`);
  await send(service, `/runs/${own.runId}/cancel`, { by: "somebody else" });
  await page.locator("#run-status", { hasText: "cancelled by somebody else" }).waitFor();

  await page.goto(`${service.url}/`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/sign-in/);
  expect(await context.cookies()).toEqual([]);
  await context.close();
}, 60_000);

test("another site's form reaches nothing, also for somebody who is signed in", async () => {
  const { context, page } = await visitor(at());
  const fields = { key: "shop/forged", by: "mallory", reason: "x", csrf: "x" };
  const inputs = Object.entries(fields)
    .map(([name, value]) => `<input name="${name}" value="${value}">`)
    .join("");
  await page.goto(
    `data:text/html,<form method="post" action="${service.url}/breakers/open">${inputs}<button>Go</button></form>`,
  );
  const answer = page.waitForResponse(/breakers/);
  await page.getByRole("button").click();

  expect([401, 403]).toContain((await answer).status());
  expect((await look(service, "/breakers")).text).not.toContain("forged");
  await context.close();
}, 60_000);

describe("in a storm of 10,000 runs", () => {
  beforeAll(async () => {
    await service.database.query(
      `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, created_at, finished_at, outcome)
       SELECT 'run_storm' || n, 'default/storm/deployment/app-' || n, 'anomaly', 'skipped_max_unhealthy', 'storm', 'app-' || n,
              jsonb_build_object('alertname', 'AIOpsAnomalyDetected', 'trigger', 'latency_p99', 'reason', '', 'source', 'x',
                'labels', '{}'::jsonb, 'annotations', '{}'::jsonb, 'startsAt', '2026-11-21T03:00:00Z', 'truncated', false),
              now(), now() - (n / 7) * interval '1 millisecond', now(), '60 % of the namespace is sick'
         FROM generate_series(1, 10000) AS n`,
    );
  }, 60_000);

  test("every run is found once, page by page", async () => {
    const seen = new Set<string>();
    let path: string | undefined = "/runs?namespace=storm&limit=200";
    let pages = 0;
    while (path !== undefined) {
      const { status, body } = await lookJson(service, path);
      expect(status).toBe(200);
      const { runs, next } = body as { runs: readonly { id: string }[]; next: string | null };
      for (const { id } of runs) {
        expect(seen.has(id)).toBe(false);
        seen.add(id);
      }
      pages += 1;
      path = next === null ? undefined : `/runs?namespace=storm&limit=200&after=${next}`;
    }
    expect([seen.size, pages]).toEqual([10_000, 50]);
  }, 120_000);

  test("a person turns the pages without JavaScript", async () => {
    const { context, page } = await visitor(at(), { javaScriptEnabled: false });
    await page.goto(`${service.url}/runs?namespace=storm`);
    expect(await page.locator("tbody tr").count()).toBe(50);
    const first = await page.locator("tbody th a").first().getAttribute("href");
    await page.getByRole("link", { name: "Older" }).click();
    await page.waitForURL(/after=/);
    expect(await page.locator("tbody tr").count()).toBe(50);
    await page.getByRole("link", { name: "Newest" }).click();
    await page.waitForURL((url) => !url.search.includes("after="));
    expect(await page.locator("tbody th a").first().getAttribute("href")).toBe(first);
    await context.close();
  }, 60_000);

  test("the first view of every page stays below 100 KiB, styles and script included", async () => {
    const assets = await Promise.all(
      ["/assets/fettle.css", "/assets/pages.js"].map(async (path) => look(service, path)),
    );
    const shared = assets.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
    const sizes = await Promise.all(
      (await pathsOfAll()).map(async (path) => {
        const { text } = await look(service, path);
        return { path, bytes: shared + Buffer.byteLength(text) };
      }),
    );
    expect(sizes.filter(({ bytes }) => bytes > FIRST_VIEW_BYTES_MAX)).toEqual([]);
  }, 60_000);
});
