import { expect, test } from "@jest/globals";
import { openStore } from "../../detector/adapters/postgres.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";
import { anomaly, MAILING } from "./given-anomaly.ts";
import { cleanups, givenService, text, type World } from "./given-service.ts";

/** Texts that break out of HTML when they are not escaped. */
const HOSTILE = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "'-alert(1)-'",
  "</title><svg onload=alert(1)>",
  "javascript:alert(1)",
];

const HTML = { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } };

interface Opened extends World {
  readonly url: string;
  readonly id: string;
}

/** A detector in which one anomaly is open. */
async function given(
  labels?: Readonly<Record<string, string>>,
  env: Record<string, string> = {},
): Promise<Opened> {
  const world = await givenService(5, labels);
  const { url } = await world.start(env);
  await world.minutes(8, { url });
  return { ...world, url, id: world.anomalies[0]?.id ?? "" };
}

async function json(url: string, path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, ...((await response.json()) as object) };
}

test("the list can be narrowed by state, metric and length, and says which parameter is wrong", async () => {
  const { url, id } = await given();
  const ids = async (query: string) =>
    ((await json(url, `/anomalies?${query}`))["anomalies"] as { id: string }[]).map(
      (one) => one.id,
    );

  expect(await ids("state=open&metric=latency_p99&limit=1")).toEqual([id]);
  expect(await ids("state=closed")).toEqual([]);
  expect(await ids("metric=other")).toEqual([]);
  for (const [query, detail] of [
    ["limit=0", "limit: must be from 1 to 500"],
    ["limit=many", "limit: must be a number"],
    ["state=ajar", "state: must be open or closed"],
  ] as const) {
    expect(await json(url, `/anomalies?${query}`)).toMatchObject({ status: 400, detail });
  }
  expect(await json(url, "/anomalies?since=1")).toMatchObject({
    status: 400,
    detail: expect.stringContaining("since"),
  });
});

/** Rows of the table as text, in order. */
function rowsOf(page: string): string[] {
  return [...page.matchAll(/<th scope="row"><a href="\/anomalies\/([\w-]+)">/g)].map(
    ([, id]) => id ?? "",
  );
}

test("the list goes on page by page, as JSON and for a browser, whatever opens meanwhile", async () => {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await givenService(50);
  const { url } = await world.start({ AIOPS_DATABASE_URL: database.url });
  const pool = openTestDatabase(database.url);
  cleanups.push(async () => pool.close());
  const store = openStore(pool);
  const at = Date.parse("2026-11-20T10:00:00Z");
  const add = async (id: string, openedAt: number) =>
    store.open(anomaly({ id, series: id, openedAt }), MAILING);
  for (const id of ["a", "b", "c"]) await add(id, at); // of one moment
  for (const id of ["d", "e"]) await add(id, at - 60_000);
  const get = async (query: string) => {
    const { anomalies, next } = await json(url, `/anomalies?${query}`);
    return [(anomalies as { id: string }[]).map(({ id }) => id), next] as const;
  };

  const [first, next] = await get("limit=2");
  await add("new", at + 60_000);
  const [second, after] = await get(`limit=2&after=${String(next)}`);
  const [third, end] = await get(`limit=2&after=${String(after)}`);
  expect([first, second, third, end]).toEqual([["a", "b"], ["c", "d"], ["e"], null]);

  let path: string | undefined = "/anomalies?state=&metric=latency_p99&limit=2";
  const seen: string[] = [];
  while (path !== undefined) {
    const page = await (await fetch(`${url}${path}`, HTML)).text();
    expect(page).toContain('<option value="latency_p99" selected>');
    expect(page).not.toMatch(/<script|style=|\son\w+=/i);
    seen.push(...rowsOf(page));
    path = /<a href="([^"]+)" rel="next">/.exec(page)?.[1]?.replaceAll("&amp;", "&");
  }
  expect(seen).toEqual(["new", "a", "b", "c", "d", "e"]);
});

test("what is no longer watched can still be looked for, and a wrong filter is named", async () => {
  const world = await givenService(50);
  const { url } = await world.start();

  const page = await (await fetch(`${url}/anomalies?metric=%3Cb%3E&state=closed`, HTML)).text();

  expect(page).toContain('<option value="&lt;b&gt;" selected>&lt;b&gt;</option>');
  expect(page).toContain('<option value="closed" selected>closed</option>');
  expect(page).toContain("There are none.");
  for (const [query, detail] of [
    ["after=1", "after: must be the `next` of a list"],
    ["after=1.x%00", "after: must be the `next` of a list"],
    ["state=open&state=closed", "state: must be open or closed"],
    [`metric=${"x".repeat(101)}`, "metric: must be at most 100 characters"],
  ] as const) {
    expect(await json(url, `/anomalies?${query}`)).toMatchObject({ status: 400, detail });
  }
});

test("one anomaly comes as JSON with its evidence and its reason in words", async () => {
  const { url, id } = await given();

  expect(await json(url, `/anomalies/${id}`)).toMatchObject({
    id,
    reason: "level_shift",
    step: 60_000,
    summary: expect.stringMatching(/^latency_p99: level shift up, 1[56]\d.* against (99|100)/),
    explanation: expect.arrayContaining([
      "latency_p99 moved up to another level and stayed there.",
    ]),
    feedback: [],
  });
  expect(await json(url, "/anomalies/anomaly_none")).toMatchObject({ status: 404 });
  expect(await json(url, "/anomalies/%00")).toMatchObject({ status: 404 });
});

test("to a browser it is a page with a chart, its data as a table, and no script", async () => {
  const { url, id } = await given();

  const response = await fetch(`${url}/anomalies/${id}`, HTML);
  const page = await response.text();

  expect(response.headers.get("content-type")).toContain("text/html");
  expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(page).toMatch(/<svg[^>]*role="img"[^>]*aria-labelledby/);
  expect(page).toMatch(/<path class="line" d="M[\d. LM]+"/);
  expect(page).toContain('<rect\n    class="band"');
  expect(page.match(/<time datetime="2026-11-20T00:0[0-9]:00.000Z">/g)?.length).toBeGreaterThan(5);
  expect(page).toContain('<th scope="row">288</th>');
  expect(page).not.toMatch(/<script|style=|\son\w+=/i);
  for (const header of page.match(/<th[ >][^>]*>?/g) ?? []) expect(header).toContain("scope=");
  expect((await fetch(`${url}/assets/fettle.css`)).headers.get("content-type")).toContain("css");
});

test("when Prometheus does not answer the page comes all the same, and says why there is no chart", async () => {
  const { url, id, prometheus } = await given();
  prometheus.faults.push({ status: 400, body: "" });

  const page = await (await fetch(`${url}/anomalies/${id}`, HTML)).text();

  expect(page).toContain("No chart: Prometheus does not answer now.");
  expect(page).not.toContain("<svg");
});

test("the first page shows each metric's state, its lines, and what is open", async () => {
  const { url, id } = await given();

  const page = await text(url, "/");

  expect(page).toContain(`<a href="/anomalies/${id}">latency_p99: level shift up`);
  expect(page).toMatch(/<svg\s+class="spark"/);
  expect(page).toContain("latency_p99: answered.");
  expect(page).not.toMatch(/<script|style=|\son\w+=/i);
  expect(page.length).toBeLessThan(100 * 1024);
});

test("hostile label values are shown as text, on every page", async () => {
  const labels = Object.fromEntries(HOSTILE.map((value, index) => [`label_${index}`, value]));
  const { url, id } = await given({
    ...labels,
    namespace: HOSTILE[0] ?? "",
    app: HOSTILE[1] ?? "",
  });

  for (const path of ["/", "/anomalies", `/anomalies/${id}`, `/anomalies/${id}/verify`]) {
    const page = await (await fetch(`${url}${path}`, HTML)).text();
    expect(page).not.toMatch(/<script|<img|<svg onload/);
    expect(page).not.toMatch(/href="javascript:/);
  }
  expect(await text(url, "/")).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
});

test("a recomputation with the same data comes out equal, number by number", async () => {
  const { url, id } = await given();

  const verification = await json(url, `/anomalies/${id}/verify`);

  expect(verification).toMatchObject({ id, verdict: "equal", differences: [] });
  expect(verification["compared"]).toBeGreaterThan(40);
  expect(await (await fetch(`${url}/anomalies/${id}/verify`, HTML)).text()).toContain(
    "Every number comes out the same",
  );
});

test("data that has changed since is named, number by number", async () => {
  const world = await givenService(5);
  const { url } = await world.start();
  await world.minutes(8, { url });
  world.rewrite((value, minute) => (minute === -50 ? value + 500 : value));

  const verification = await json(url, `/anomalies/${world.anomalies[0]?.id ?? ""}/verify`);

  expect(verification["verdict"]).toBe("differs");
  const names = (verification["differences"] as { name: string }[]).map(({ name }) => name);
  expect(names).toContain("score");
  expect(names).toContain("bands.value.high");
  expect(names).not.toContain("value");
});

test("what Prometheus no longer has, or another model scored, cannot be verified", async () => {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await givenService(5);
  const { url } = await world.start({ AIOPS_DATABASE_URL: database.url });
  await world.minutes(8, { url });
  const path = `/anomalies/${world.anomalies[0]?.id ?? ""}/verify`;

  world.rewrite((value, minute) => (minute < -100 ? undefined : value));
  expect(await json(url, path)).toMatchObject({
    verdict: "cannot_verify",
    why: "Prometheus no longer has the series' points of that time.",
  });
  world.prometheus.faults.push({ status: 400, body: "" });
  expect(await json(url, path)).toMatchObject({
    verdict: "cannot_verify",
    why: "Prometheus cannot be asked: Prometheus answered 400.",
  });
  await world.sql(database.url, "UPDATE aiops_anomalies SET model_sha256 = 'gone'");
  expect(await json(url, path)).toMatchObject({
    verdict: "cannot_verify",
    why: "The model gone is not known any more, or cannot be read.",
  });
});

test("one verification runs at a time; the second is told to come back", async () => {
  const { url, id, prometheus } = await given();
  prometheus.faults.push("hang");
  const first = fetch(`${url}/anomalies/${id}/verify`);
  while (prometheus.faults.length > 0) await new Promise((resolve) => setTimeout(resolve, 5));

  const second = await fetch(`${url}/anomalies/${id}/verify`);

  expect(second.status).toBe(429);
  expect(second.headers.get("retry-after")).toBe("5");
  prometheus.dropConnections();
  expect((await first).status).toBe(200);
});
