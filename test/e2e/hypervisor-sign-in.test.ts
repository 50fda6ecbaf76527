import AxeBuilder from "@axe-core/playwright";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { givenHypervisor, PASSWORD, type Hypervisor } from "../hypervisor/given.ts";
import { startUpstream, type Upstream } from "../hypervisor/proxy/upstream.ts";
import { startChromium } from "../servers/chromium.ts";

let upstream: Upstream;
let api: Hypervisor;
let browser: Browser;
beforeAll(async () => {
  upstream = await startUpstream();
  api = await givenHypervisor({ GRAFANA_URL: upstream.url });
  browser = await startChromium();
}, 90_000);
afterAll(async () => {
  await browser.close();
  await api.stop();
  upstream.stop();
}, 60_000);

/** What a script of the page that is open gets, as Grafana's would. */
async function inPage(page: Page, script: string): Promise<unknown> {
  return page.evaluate(script);
}
const statusOf = (address: string, options: object) =>
  `fetch(${JSON.stringify(address)}, ${JSON.stringify(options)}).then(({ status }) => status, String)`;
const echoOf = (address: string) => `new Promise((resolve) => {
  const socket = new WebSocket(${JSON.stringify(address)});
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => resolve(data);
  socket.onerror = () => resolve("refused");
})`;

test("a person follows a link to Grafana, signs in, works there, and signs out", async () => {
  const person = await api.person("Viewer");
  const context = await browser.newContext({ colorScheme: "dark" });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 4"))
      complaints.push(message.text());
  });

  await page.goto(`${api.url}/grafana/d/abc?from=now-6h`);
  await page.getByLabel("User name").fill(person.name);
  await page.getByLabel("Password").fill("a wrong password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  const { violations } = await new AxeBuilder({ page }).analyze();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${api.url}/grafana/d/abc?from=now-6h`);

  expect(violations.map(({ id }) => id)).toEqual([]);
  expect(await page.textContent("body")).toBe("it is me");
  const cookies = await context.cookies();
  expect(cookies.find(({ name }) => name === "fettle-session")).toMatchObject({
    httpOnly: true,
    sameSite: "Lax",
    secure: false, // on loopback
  });
  expect([
    await inPage(page, statusOf("/grafana/api/ds/query", { method: "POST", body: "{}" })),
    await inPage(page, statusOf("/api/v1/vdcs", {})),
    await inPage(page, echoOf(`${api.url.replace("http", "ws")}/grafana/api/live/ws`)),
  ]).toEqual([200, 401, "echo hello"]);

  await page.goto(`${api.url}/sign-in`);
  expect(await page.textContent("main")).toContain(person.name);
  expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id)).toEqual([]);
  await page.getByRole("link", { name: "Grafana" }).click();
  await page.waitForURL(`${api.url}/grafana/`);
  await page.goBack();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("User name").waitFor();
  await page.goto(`${api.url}/grafana/`);
  expect(new URL(page.url()).pathname).toBe("/sign-in");
  expect(complaints).toEqual([]);
  await context.close();
}, 120_000);

test("a page of another server on the same host has the cookie sent along, and gets nothing by it", async () => {
  const person = await api.person("Admin");
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${api.url}/sign-in`);
  await page.getByLabel("User name").fill(person.name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  await page.goto(upstream.url); // cookies know no ports
  const loud = { mode: "no-cors", credentials: "include" };

  const answers = [
    await inPage(page, statusOf(`${api.url}/grafana/api/ds/query`, { ...loud, method: "POST" })),
    await inPage(page, statusOf(`${api.url}/grafana/d/abc`, loud)),
    await inPage(page, echoOf(`${api.url.replace("http", "ws")}/grafana/api/live/ws`)),
  ];

  const failed = "TypeError: Failed to fetch";
  expect(answers).toEqual([failed, failed, "refused"]);
  const askedAs = upstream.seen.map(({ headers }) => headers["x-webauth-user"]);
  expect(askedAs).not.toContain(person.name);
  const refusals = (await api.rows()).filter(({ result }) => result === "Refused");
  expect(refusals).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        actor: person.name,
        summary: expect.stringContaining("another site's page"),
      }),
      // The WebSocket's, before anybody asks whose cookie it is.
      expect.objectContaining({
        actor: "anonymous",
        summary: expect.stringContaining("The page's origin is not in"),
      }),
    ]),
  );
  await page.goto(`${api.url}/grafana/`);
  expect(await page.textContent("body")).toBe("it is me"); // it was signed in all the time
  await context.close();
}, 120_000);
