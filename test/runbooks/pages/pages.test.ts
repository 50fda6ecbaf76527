import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { givenService, type GivenService } from "../given-service.ts";
import {
  API_TOKEN,
  PAGES_ENV,
  givenQuestion,
  look,
  lookJson,
  send,
  type GivenQuestion,
} from "./given-pages.ts";

let service: GivenService;
let question: GivenQuestion;

beforeAll(async () => {
  service = await givenService({
    ...PAGES_ENV,
    RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
  });
  question = await givenQuestion(service, {
    annotations: {
      summary: "p99 is 0.9 s, usually 0.3 s",
      sparkline: "▁▁▁▂▁▁▇█",
      zscore: "51.2",
    },
  });
});
afterAll(async () => service.stop());

describe("a run's page", () => {
  test("says what fired, what is planned, why it may, who is asked, and what has happened", async () => {
    const { status, text, headers } = await look(service, `/runs/${question.runId}`);

    expect([status, headers.get("content-type"), headers.get("cache-control")]).toEqual([
      200,
      "text/html; charset=utf-8",
      "no-store",
    ]);
    for (const shown of [
      "p99 is 0.9 s, usually 0.3 s",
      `Restart the 3 pods of shop/${question.app}, one after the other`,
      `default/shop/deployment/${question.app}`,
      "approval pending",
      "remediation is enabled",
      "policy &quot;env&quot; says latency_p99:level_shift=rollout_restart",
      "Who may answer</dt>",
      "ana, ivan",
      "z = 51.2",
      "8 values from the oldest to the newest",
      `href="/approvals/${question.approvalId}"`,
      `data-stream="/runs/${question.runId}/stream"`,
      '<meta http-equiv="refresh" content="10"',
    ])
      expect(text).toContain(shown);
    expect(text).toMatch(/<time datetime="20\d\d-\d\d-\d\dT[\d:.]+Z">/);
  });

  test("is JSON for programs, with the same members for every run", async () => {
    const { status, body } = await lookJson(service, `/runs/${question.runId}`);

    expect(status).toBe(200);
    expect(Object.keys(body).sort()).toEqual(
      [
        ...["alertCount", "alerts", "app", "approval", "before", "breaker", "createdAt"],
        ...["deadlineAt", "decision", "finishedAt", "id", "namespace", "outcome", "plan"],
        ...["planHash", "preflight", "record", "recordCut", "requestedBy", "retryOf", "rollback"],
        ...["rule", "runbook", "sources", "state", "stateSince", "status", "summary", "target"],
        ...["title", "told", "trigger", "collection"],
      ].sort(),
    );
    expect(body).toMatchObject({
      id: question.runId,
      state: "approval_pending",
      approval: { id: question.approvalId, state: "pending", approvers: ["ana", "ivan"] },
      decision: { key: "env" },
    });
    const events = (body["record"] as readonly { event: string }[]).map(({ event }) => event);
    expect(events).toEqual(["request", "approval_pending"]);
  });

  test("that does not exist, or whose id is nonsense, is not found", async () => {
    for (const id of ["run_0", "x".repeat(101), "%00", "..%2f..%2fetc"]) {
      const page = await look(service, `/runs/${id}`);
      expect([id, page.status, page.text.includes("Unknown run")]).toEqual([id, 404, true]);
    }
  });
});

describe("a request's page", () => {
  test("says the same as the message, and how one proves who one is", async () => {
    const { status, text } = await look(service, `/approvals/${question.approvalId}`);

    expect(status).toBe(200);
    for (const shown of [
      `Approval needed: shop/${question.app}`,
      "p99 is 0.9 s, usually 0.3 s",
      "You are signed in with the pages&#39; token, which does not say who you are",
      `fettle runs ${question.runId} --links`,
      'formaction="/approve"',
      'formaction="/reject"',
    ])
      expect(text).toContain(shown);
  });

  test("the pages' token is not taken for a person's link", async () => {
    const answer = await send(service, "/approve", { id: question.approvalId, token: API_TOKEN });

    expect(answer.status).toBe(403);
    expect((await lookJson(service, `/runs/${question.runId}`)).body["state"]).toBe(
      "approval_pending",
    );
  });

  test("stands in the queue with its plan and its end, the most urgent first", async () => {
    const { text } = await look(service, "/approvals");
    const { body } = await lookJson(service, "/approvals");

    expect(text).toContain(`<a href="/approvals/${question.approvalId}">shop/${question.app}</a>`);
    expect(body).toMatchObject({
      approvals: [{ id: question.approvalId, runId: question.runId, votes: 0, quorum: 1 }],
      next: null,
    });
  });
});

test("the overview begins with what waits for a person", async () => {
  const { status, text } = await look(service, "/");
  const { body } = await lookJson(service, "/");

  expect(status).toBe(200);
  expect(text.indexOf("Waiting for a person")).toBeLessThan(text.indexOf("Switched off"));
  expect(text).toContain(`/approvals/${question.approvalId}`);
  expect(body).toMatchObject({
    settings: { enabled: true, dryRun: false, requireApproval: true, redis: false },
    waiting: { count: 1 },
    openBreakers: { count: 0 },
    killSwitches: [],
    day: { runs: 1 },
    health: { inbox: { waiting: 0 } },
  });
});

describe("the list of runs", () => {
  test.each<[string, boolean]>([
    ["", true],
    ["?state=open", true],
    ["?state=approval_pending&namespace=shop", true],
    ["?state=ended", false],
    ["?namespace=other", false],
    ["?q=RESTART%20THE%203%20PODS", true],
    ["?q=%25", false],
    ["?from=2020-01-01&to=2020-01-02", false],
    ["?from=2020-01-01T09:00&state=&app=", true],
  ])("%s shows it: %s", async (query, there) => {
    const { status, body } = await lookJson(service, `/runs${query}`);

    const ids = (body["runs"] as readonly { id: string }[]).map(({ id }) => id);
    expect([status, ids.includes(question.runId)]).toEqual([200, there]);
    expect((await look(service, `/runs${query}`)).status).toBe(200);
  });

  test.each<[string, string, string]>([
    ["/runs?state=nonsense", "state", "must be one of open, ended, matched"],
    ["/runs?limit=0", "limit", "must be from 1 to 200"],
    ["/runs?limit=x", "limit", "must be a number"],
    ["/runs?after=yesterday", "after", "must be the `next` of a list"],
    ["/runs?from=yesterday", "from", "must be a day (2026-11-21)"],
    ["/runs?from=2026-99-99", "from", "must be a day (2026-11-21)"],
    ["/runs?namespace=a%00b", "namespace", "must not contain control characters"],
    ["/runs?namespace=a&namespace=b", "namespace", "must be given once"],
    [`/runs?q=${"x".repeat(101)}`, "q", "must be at most 100 characters"],
    ["/runs?nonsense=1", "nonsense", "is not known here"],
    ["/approvals?state=both", "state", "must be one of pending, decided"],
    ["/audit?run=a%0Ab", "run", "must not contain control characters"],
    ["/audit?after=-1", "after", "must be the `next` of a list"],
    ["/audit/export?format=xml", "format", "must be csv or json"],
    ["/audit/export", "format", "must be csv or json"],
    ["/policy?namespace=shop", "app", "must be given with namespace"],
    ["/policy?trigger=x", "namespace", "must be given with trigger"],
    ["/breakers?said=lies", "said", "is not known"],
  ])("%s: a clear 400 names %s", async (path, field, expected) => {
    const page = await look(service, path);
    const program = await lookJson(service, path);

    expect([page.status, program.status]).toEqual([400, 400]);
    expect(page.text.replaceAll("&#39;", "'")).toContain(`${field}: ${expected}`);
    expect(program.body["detail"]).toContain(`${field}: ${expected}`);
  });
});

test("without its database a page says so, and that one should come again", async () => {
  await service.databaseProxy.setMode({ kind: "refuse" });
  try {
    const page = await look(service, "/runs");
    expect([page.status, page.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(page.text).toContain("The database does not answer; try again.");
  } finally {
    await service.databaseProxy.setMode({ kind: "pass" });
  }
  expect((await look(service, "/runs")).status).toBe(200);
});

test("a bundle that the database keeps is told of, and handed out", async () => {
  const none = await look(service, `/runs/${question.runId}/diagnostics.tar.gz`);
  const index = {
    version: 1,
    files: [{ name: "events.json", step: "events", bytes: 12, sha256: "0", cut: false }],
    steps: [{ step: "events", milliseconds: 1234, files: 1, problems: ["no right to see x"] }],
  };
  await service.database.query(
    `INSERT INTO collections (run_id, object_key, steps, state, gathered_at, held, bytes, sha256, index)
     VALUES ($1, 'k', '[]', 'gathered', now(), 'bundle', 6, 'abc', $2)`,
    [question.runId, JSON.stringify(index)],
  );
  const page = await look(service, `/runs/${question.runId}`);
  const bundle = await look(service, `/runs/${question.runId}/diagnostics.tar.gz`);

  expect([none.status, none.text.includes("The database does not keep it")]).toEqual([404, true]);
  for (const shown of ["1.2 s", "events.json", "no right to see x", "kept in the database"])
    expect(page.text).toContain(shown);
  expect([bundle.status, bundle.text, bundle.headers.get("content-type")]).toEqual([
    200,
    "bundle",
    "application/gzip",
  ]);
});
