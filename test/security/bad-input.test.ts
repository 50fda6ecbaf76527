import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { request } from "node:http";
import { PERMISSIONS } from "../../runbooks/pages/permissions.ts";
import { givenService, type GivenService } from "../runbooks/given-service.ts";
import { API_TOKEN, PAGES_ENV } from "../runbooks/pages/given-pages.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService(PAGES_ENV);
});
afterAll(async () => service.stop());

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Answered {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** By hand: fetch would put a path in order before it sends it. */
async function send({ method, path, headers = {}, body }: Sent): Promise<Answered> {
  const { hostname, port } = new URL(service.url);
  return new Promise((resolve, reject) => {
    const asking = request({ method, path, hostname, port, headers }, (response) => {
      let text = "";
      const { statusCode: status = 0, headers: given } = response;
      const done = () => {
        resolve({ status, type: given["content-type"] ?? "", text });
      };
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (given["content-type"] === "text/event-stream") {
          done();
          response.destroy();
        }
      });
      response.on("end", done).on("error", reject);
    });
    asking.on("error", reject).end(body);
  });
}

const ROUTES = [...PERMISSIONS.keys()].map((route) => {
  const [method = "", path = ""] = route.split(" ");
  return [method, path] as const;
});
const OWN = { authorization: `Bearer ${API_TOKEN}`, "sec-fetch-site": "same-origin" };
const FORM = { ...OWN, "content-type": "application/x-www-form-urlencoded" };

/** What may stand in the place of an id. */
const IDS = ["run_x", "%00", "..%2f..%2fetc", "%ff", "%", "x".repeat(3_000), "__proto__", "'--"];
/** What may stand behind the question mark. */
const QUERIES = [
  "id=%00&token=%00&q=%00&limit=%00&after=%00&from=%00&run=%00",
  "id=a&id=b&token=a&token=b&limit=1&limit=2&q=a&q=b&state=a&state=b&format=a&format=b",
  "limit=-1&limit[]=2&from=yesterday&to=9999-99-99&state=nonsense&format=exe&after=zzz&before=zzz",
  "__proto__=x&constructor=y&toString=z",
  `q=${"x".repeat(8_000)}`,
  "%",
  "limit=1e9&after=99999999999999999999999999&before=-5",
  "q=%ED%A0%80&app=%F0%9F&namespace=%ff",
];
const BODIES = [
  "",
  "%",
  "=",
  "id=%00&token=%00&reason=%00&app=%00&by=%00&policy=%00",
  `reason=${"x".repeat(40_000)}`,
  Array.from({ length: 100 }, (_, at) => `a${at}=1`).join("&"),
  "id=a&id=b&token=a&token=b&reason=a&reason=b&by=a&by=b",
  "__proto__=x&constructor=y",
  '{"id":1}',
];

/** What an answer to nonsense must not be: our fault, or a look behind the scenes. */
function expectCalm(sent: Sent, { status, text, type }: Answered): void {
  const what = `${sent.method} ${sent.path.slice(0, 120)} ${sent.body?.slice(0, 60) ?? ""}`;
  expect([what, status, text.slice(0, 300)]).toEqual([
    what,
    expect.any(Number),
    expect.any(String),
  ]);
  if (status >= 500) throw new Error(`${what} was answered ${status}: ${text.slice(0, 500)}`);
  expect([what, /\bat \S+ \(|node_modules|\.ts:\d+|SELECT |syntax error at/.test(text)]).toEqual([
    what,
    false,
  ]);
  if (status >= 400 && text !== "")
    expect([what, /^(application\/problem\+json|text\/html|text\/plain)/.test(type)]).toEqual([
      what,
      true,
    ]);
}

async function sendAll(all: readonly Sent[]): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (const sent of all) {
    const answered = await send(sent);
    expectCalm(sent, answered);
    statuses.push(answered.status);
  }
  return statuses;
}

const gets = ROUTES.filter(([method]) => method === "GET").map(([, path]) => path);
const writes = ROUTES.filter(([method]) => method !== "GET");

test.each(gets.filter((path) => path.includes(":id")))(
  "GET %s with an id that is none is not found",
  async (path) => {
    const statuses = await sendAll(
      IDS.map((id) => ({ method: "GET", path: path.replace(":id", id), headers: OWN })),
    );

    expect(new Set(statuses.map((status) => (status === 400 ? 404 : status)))).toEqual(
      new Set([404]),
    );
  },
);

test.each(gets)("GET %s with a nonsense query is answered calmly", async (path) => {
  const own = path.replace(":id", "run_x");
  const accepts = ["text/html", "application/json", "*/*;q=x", ""];
  const statuses = await sendAll(
    QUERIES.flatMap((query) =>
      accepts.map((accept) => ({
        method: "GET",
        path: `${own}?${query}`,
        headers: { ...OWN, accept },
      })),
    ),
  );
  expect(statuses).toHaveLength(QUERIES.length * accepts.length);
});

test.each(writes)("%s %s with a nonsense body changes nothing", async (method, path) => {
  const before = await everything();
  const own = path.replace(":id", "run_x");
  const types = [FORM, { ...OWN, "content-type": "text/plain" }, { ...OWN, "content-type": ";;" }];
  const statuses = await sendAll(
    types.flatMap((headers) => BODIES.map((body) => ({ method, path: own, headers, body }))),
  );

  for (const status of statuses) expect(status).toBeGreaterThanOrEqual(300);
  expect(await everything()).toEqual(before);
});

test.each(ROUTES)("%s %s by another method is not found, and does nothing", async (known, path) => {
  const before = await everything();
  const others = ["DELETE", "PATCH", "OPTIONS", "TRACE", "POST", "PUT"].filter(
    (method) => method !== known && !PERMISSIONS.has(`${method} ${path}`),
  );
  const own = path.replace(":id", "run_x");
  const statuses = await sendAll(others.map((method) => ({ method, path: own, headers: FORM })));

  for (const status of statuses) expect([200, 204, 404, 405]).toContain(status);
  expect(await everything()).toEqual(before);
});

test("credentials that are nonsense are those of a stranger", async () => {
  const views = ROUTES.filter(([method, path]) => PERMISSIONS.get(`${method} ${path}`) === "view");
  const nonsense = [
    { authorization: "Bearer" },
    { authorization: `Bearer ${"x".repeat(8_000)}` },
    { authorization: "Basic %%%" },
    { authorization: "Basic OnVzZXI6" },
    { cookie: "__Host-fettle=; ;=;;;x" },
    { cookie: `__Host-fettle=${"x".repeat(4_000)}` },
  ];
  for (const [method, path] of views) {
    const sent = nonsense.map((headers) => ({
      method,
      path: path.replace(":id", "run_x"),
      headers,
    }));
    const statuses = await sendAll(sent);
    expect([path, new Set(statuses)]).toEqual([path, new Set([401])]);
  }
});

/** What somebody could have changed. */
async function everything(): Promise<unknown> {
  const { rows } = await service.database.query(
    `SELECT (SELECT count(*)::int FROM runs) AS runs, (SELECT count(*)::int FROM approval_votes) AS votes,
            (SELECT count(*)::int FROM runbooks_audit) AS audit, (SELECT count(*)::int FROM kill_switches) AS switches,
            (SELECT count(*)::int FROM breakers) AS breakers`,
  );
  return rows[0];
}
