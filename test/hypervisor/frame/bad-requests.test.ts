import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenCups, send, type Sent } from "./cups.ts";
import { givenFrame, rowsOf, type Frame } from "./given.ts";

let frame: Frame;
beforeAll(async () => {
  frame = await givenCups();
});
afterAll(async () => frame.stop());

async function make(name: string, more: Sent = {}) {
  return send(frame, "/cups", { method: "POST", body: { name, size: 3 }, ...more });
}

test.each([
  ["unknown names in the body", "/cups", { name: "a", size: 1, sise: 2 }, /unknown parameter sise/],
  ["a value of another type", "/cups", { name: 1, size: 1 }, /name: .*string/],
  ["control characters", "/cups", { name: "a\u001b[31m", size: 1 }, /name: must not have control/],
  ["NUL", "/cups", { name: "a\0", size: 1 }, /name: must not have control characters/],
  ["half a character", "/cups", '{"name":"\\ud800","size":1}', /name: must not have control/],
  ["no JSON", "/cups", "{", /body: is no JSON/],
  ["nothing", "/cups", undefined, /body: /],
  ["a deep body", "/cups", `{"name":${"[".repeat(5000)}${"]".repeat(5000)}}`, /deeper than 32/],
  [
    "an unknown query name",
    "/cups?dryrun=true",
    { name: "a", size: 1 },
    /unknown parameter dryrun/,
  ],
  ["a strange dryRun", "/cups?dryRun=yes", { name: "a", size: 1 }, /dryRun: must be true or false/],
  ["dryRun twice", "/cups?dryRun=true&dryRun=false", { name: "a", size: 1 }, /dryRun: must be/],
])("%s: 400 that names the field", async (_what, path, body, detail) => {
  const refused = await send(frame, path, { method: "POST", body });

  expect([refused.status, refused.body?.["detail"]]).toEqual([400, expect.stringMatching(detail)]);
});

test("a body of 1 MB is refused by its size, another type by its type", async () => {
  const large = await make("x".repeat(1_000_000));
  const typed = await make("a", { headers: { "content-type": "text/plain" } });

  expect([large.status, typed.status]).toEqual([413, 415]);
});

test.each(["/cups/..%2f..%2fetc", "/cups/a%00b", "/cups/%ff"])("%s names nothing", async (path) => {
  expect((await send(frame, path)).status).toBe(400);
});

test("a route without a permission, twice, or that does not say what it changes cannot be registered", async () => {
  const good = {
    method: "post",
    path: "/plates",
    permission: "container:create",
    summary: "",
    answers: { 204: "nothing" },
    mutates: "nothing",
  } as const;
  const handler = async () => Promise.resolve({ status: 204 } as const);
  const problems: string[] = [];

  const own = await givenFrame({
    people: {},
    add: (router) => {
      for (const change of [
        { permission: undefined },
        { permission: [] },
        { mutates: undefined },
        {},
        {},
      ]) {
        try {
          router.route({ ...good, ...(change as object) }, handler);
        } catch (error) {
          problems.push((error as Error).message);
        }
      }
    },
  });
  await own.stop();

  expect(problems).toEqual([
    "route POST /plates has no permission",
    "route POST /plates has no permission",
    "route POST /plates does not say what it changes",
    "route POST /plates is there twice",
  ]);
});

test("strangers are answered 401, and the record of them is bounded", async () => {
  const before = (await rowsOf(frame.database)).length;

  const answers = await Promise.all(
    Array.from({ length: 140 }, async () => send(frame, "/cups/blue", { as: "" })),
  );

  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
  const rows = (await rowsOf(frame.database)).length - before;
  expect(rows).toBeGreaterThanOrEqual(20); // a minute may end meanwhile
  expect(rows).toBeLessThanOrEqual(120);
  expect(await frame.metrics()).toMatch(/arm_hypervisor_refusals_unrecorded_total{[^}]*} [1-9]/);
});

test.each([
  ["a listed origin", "https://console.example.com", 204, "https://console.example.com"],
  ["the origin null", "null", 403, null],
  ["another origin", "https://evil.example.com", 403, null],
])("a preflight from %s is answered %i", async (_what, origin, status, allowed) => {
  const response = await fetch(`${frame.url}/cups`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST" },
  });

  expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([
    status,
    allowed,
  ]);
  expect(response.headers.get("vary")).toMatch(/Origin/);
});

test("a page of another origin cannot change anything, whatever it sends", async () => {
  expect((await make("a-cup", { headers: { origin: "null" } })).status).toBe(403);
});
