import { expect, test } from "@jest/globals";
import { createTestDatabase } from "../servers/postgres.ts";
import { cleanups, givenService } from "./given-service.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const HTML = { accept: "text/html" };

interface Opened {
  readonly url: string;
  readonly id: string;
  post(fields: Record<string, string>, headers?: Record<string, string>): Promise<Response>;
}

/** A detector with a database, in which one anomaly is open. */
async function given(env: Record<string, string> = { DETECTOR_API_TOKEN: TOKEN }): Promise<Opened> {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await givenService(5);
  const { url } = await world.start({ AIOPS_DATABASE_URL: database.url, ...env });
  await world.minutes(8, { url });
  const id = world.anomalies[0]?.id ?? "";
  return {
    url,
    id,
    post: async (fields, headers = {}) =>
      fetch(`${url}/anomalies/${id}/labels`, {
        ...{ method: "POST", redirect: "manual", body: new URLSearchParams(fields) },
        headers: { ...HTML, ...headers },
      }),
  };
}

async function saidAbout({ url, id }: Opened): Promise<unknown> {
  const answer = await fetch(`${url}/anomalies/${id}`);
  return ((await answer.json()) as { feedback: unknown }).feedback;
}

const GOOD = { label: "false_positive", by: "Ana", note: "release\r\nplanned", token: TOKEN };

test("what is typed into the page's form is stored once, and the page is shown by another address", async () => {
  const world = await given();
  const page = await (await fetch(`${world.url}/anomalies/${world.id}`, { headers: HTML })).text();
  expect(page).toContain(`<form method="post" action="/anomalies/${world.id}/labels#say">`);

  const answer = await world.post(GOOD);

  expect([answer.status, answer.headers.get("location")]).toEqual([
    303,
    `/anomalies/${world.id}#say`,
  ]);
  expect(await saidAbout(world)).toMatchObject([
    { label: "false_positive", by: "Ana", note: "release\nplanned" },
  ]);
  await world.post({ ...GOOD, label: "real", note: " \r\n" });
  expect(await saidAbout(world)).toEqual([
    expect.anything(),
    { label: "real", by: "Ana", at: expect.any(String) },
  ]);
});

test.each([
  [{ token: "hunter2hunter2" }, 401, "Send the bearer token of DETECTOR_API_TOKEN."],
  [{ label: "" }, 400, "label: must be one of false_positive, real, expected_change"],
  [{ by: "" }, 400, "by: must not be empty"],
  [{ note: "x".repeat(2001) }, 400, "note: must be at most 2000 characters"],
])(
  "%j is not taken: the page says why and keeps what was typed, but the token",
  async (change, status, why) => {
    const world = await given();
    const typed = { ...GOOD, by: '"><b>Ana', ...change };

    const answer = await world.post(typed);
    const page = await answer.text();

    expect(answer.status).toBe(status);
    expect(page).toContain(`<p role="alert"><strong>Not saved.</strong> ${why}</p>`);
    expect(page).not.toContain("<b>Ana");
    expect(page).not.toContain(typed.token);
    expect(page).toContain(typed.by === "" ? 'value=""' : 'value="&quot;&gt;&lt;b&gt;Ana"');
    expect(await saidAbout(world)).toEqual([]);
  },
);

test("a form of another site is refused, even with the token; so are fields that nobody knows", async () => {
  const world = await given();

  for (const site of ["cross-site", "same-site"]) {
    expect((await world.post(GOOD, { "sec-fetch-site": site })).status).toBe(403);
  }
  expect((await world.post({ ...GOOD, more: "x" })).status).toBe(400);
  expect((await world.post({ ...GOOD, note: "x".repeat(20_000) })).status).toBe(413);
  expect(await saidAbout(world)).toEqual([]);
  expect((await world.post(GOOD, { "sec-fetch-site": "same-origin" })).status).toBe(303);
});

test("without a token the page offers no form, and takes none", async () => {
  const world = await given({});

  const page = await (await fetch(`${world.url}/anomalies/${world.id}`, { headers: HTML })).text();

  expect(page).not.toContain("<form");
  expect(page).toContain("To say something, set AIOPS_DATABASE_URL and DETECTOR_API_TOKEN.");
  expect((await world.post(GOOD)).status).toBe(403);
  expect(await saidAbout(world)).toEqual([]);
});
