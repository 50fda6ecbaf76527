import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { waitUntil } from "../../fakes/fettle.ts";
import { frame, givenService, post, type GivenService } from "../given-service.ts";
import {
  givenQuestion,
  look,
  lookJson,
  PAGES_ENV,
  send,
  type GivenQuestion,
} from "./given-pages.ts";

let service: GivenService;
let question: GivenQuestion;

beforeAll(async () => {
  service = await givenService({ ...PAGES_ENV });
  question = await givenQuestion(service);
});
afterAll(async () => service.stop());

describe("breakers", () => {
  test("are opened by anybody who says who and why, and closed by an approver only", async () => {
    const key = "shop/breaker-app";
    const opened = await send(service, "/breakers/open", { key, by: "eve", reason: "a release" });
    const again = await send(service, "/breakers/open", { key, by: "eve", reason: "a release" });
    const page = await look(service, "/breakers?said=opened");
    const whole = "app:default/shop/breaker-app";
    const denied = await send(service, "/breakers/close", {
      key: whole,
      by: "eve",
      reason: "over",
    });
    const closed = await send(service, "/breakers/close", {
      key: whole,
      by: "ana",
      reason: "over",
    });

    expect([opened, again, closed].map((answer) => answer.headers.get("location"))).toEqual([
      "/breakers?said=opened",
      "/breakers?said=unchanged",
      "/breakers?said=closed",
    ]);
    expect(page.text).toContain(whole);
    expect(page.text).toContain("The breaker is open.");
    expect([denied.status, (await denied.text()).includes("eve may not close")]).toEqual([
      403,
      true,
    ]);
    const { rows } = await service.database.query(
      "SELECT event, actor, detail->>'via' AS via FROM runbooks_audit WHERE app = 'breaker-app' ORDER BY id",
    );
    expect(rows).toEqual([
      { event: "breaker_opened", actor: "eve", via: "page" },
      { event: "breaker_closed", actor: "ana", via: "page" },
    ]);
  });

  test.each<[Record<string, string>, string]>([
    [{ key: "nonsense", by: "eve", reason: "x" }, "key: &quot;nonsense&quot; names no breaker"],
    [{ key: "a/b", by: " ", reason: "x" }, "by: must not be empty"],
    [{ key: "a/b", by: "eve", reason: "" }, "reason: must not be empty"],
    [{ key: "a/b", by: "eve" }, "reason: must be given once"],
  ])("%j is refused by name, and writes nothing", async (fields, expected) => {
    const answer = await send(service, "/breakers/open", fields);

    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(expected)]);
  });
});

describe("the policy's page", () => {
  test("says which rule holds for an app, and which keys were looked at", async () => {
    const path = "/policy?namespace=shop&app=checkout&trigger=latency_p99&reason=level_shift";
    const { text } = await look(service, path);
    const { body } = await lookJson(service, path);

    expect(text).toContain("The key <code>env</code> says");
    expect(body).toMatchObject({
      source: "env",
      rules: [{ key: "env", rule: { action: "rollout_restart" } }],
      explanation: { key: "env" },
    });
  });

  test.each<[string, string, string]>([
    [
      "labels",
      '{"alertname":"AIOpsAnomalyDetected","metric":"latency_p99","reason":"level_shift","namespace":"shop","app":"pasted"}',
      "once 1 of ana, ivan said yes",
    ],
    [
      "an alert of something else",
      '{"status":"firing","labels":{"alertname":"Other"},"startsAt":"2026-11-21T03:00:00Z"}',
      "No runbook of the catalogue is for it",
    ],
    [
      "a notification",
      frame({ app: "pasted", labels: { reason: "trend_break" } }),
      "the policy has no rule for latency_p99:trend_break",
    ],
  ])("decides about %s that were pasted, and changes nothing", async (_what, alert, expected) => {
    const before = await service.database.query("SELECT count(*) FROM runs");
    const answer = await send(service, "/policy/try", { alert });

    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining(expected)]);
    expect((await service.database.query("SELECT count(*) FROM runs")).rows).toEqual(before.rows);
    expect((await service.database.query("SELECT 1 FROM runs WHERE app = 'pasted'")).rows).toEqual(
      [],
    );
  });

  test.each<[string, string]>([
    ["", "alert: must not be empty"],
    ["nonsense", "alert: body: is not JSON"],
    ["[]", "alert: body:"],
    ['{"alerts":{}}', "alert: version:"],
    ['{"labels":{"a":1}}', "alert: labels.a:"],
    ['{"alerts":'.concat("[".repeat(40), "]".repeat(40), "}"), "nested deeper than 32"],
  ])("says what is wrong with %j", async (alert, expected) => {
    const answer = await send(service, "/policy/try", { alert });

    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(expected)]);
  });

  test("refuses what is too long", async () => {
    const long = await send(service, "/policy/try", { alert: "x".repeat(300_000) });
    const longer = await send(service, "/policy/try", { alert: "x".repeat(1_000_000) });

    expect([long.status, longer.status]).toEqual([400, 413]);
  });
});

describe("what people do about a run", () => {
  test("cancelling ends it before anything is done, and is on record", async () => {
    const own = await givenQuestion(service);
    const answer = await send(service, `/runs/${own.runId}/cancel`, {
      by: "eve",
      reason: "a release",
    });
    const again = await send(service, `/runs/${own.runId}/cancel`, { by: "eve" });
    const { body } = await lookJson(service, `/runs/${own.runId}`);
    const page = await look(service, `/runs/${own.runId}?said=cancelled`);
    const asked = await look(service, `/approvals/${own.approvalId}`);

    expect([answer.status, answer.headers.get("location")]).toEqual([
      303,
      `/runs/${own.runId}?said=cancelled`,
    ]);
    expect([again.status, (await again.text()).includes("It has ended: cancelled.")]).toEqual([
      409,
      true,
    ]);
    expect(body).toMatchObject({ state: "cancelled", outcome: "cancelled by eve: a release" });
    expect(page.text).toContain("The run is cancelled.");
    expect(page.text).not.toContain("http-equiv");
    expect(asked.text).toContain("Already decided: this request is cancelled by eve");
    expect(asked.text).not.toContain("formaction");
  });

  test("a run that has ended is started again as a dry run, which changes nothing", async () => {
    const own = await givenQuestion(service);
    await send(service, `/runs/${own.runId}/cancel`, { by: "eve" });
    const answer = await send(service, `/runs/${own.runId}/dry-run`, { by: "eve" });
    const path = answer.headers.get("location") ?? "";

    expect([answer.status, path]).toEqual([303, expect.stringMatching(/^\/runs\/run_\w+\?said=/)]);
    await waitUntil("the question", async () =>
      (await look(service, path)).text.includes("approval pending"),
    );
    const page = await look(service, path);
    expect(page.text).toContain("DRY-RUN");
    expect(page.text.split(`It repeats <a href="/runs/${own.runId}">`)).toHaveLength(2); // once
    const [id = ""] = path.replace("/runs/", "").split("?");
    // The name was typed on a page that knows nobody: the record says so, in both runs.
    for (const [run, event] of [
      [id, "request"],
      [own.runId, "retried"],
    ]) {
      const { body } = await lookJson(service, `/audit?run=${run}&event=${event}`);
      expect(body["rows"]).toMatchObject([
        { actor: "eve", detail: { via: "page", dry_run: true } },
      ]);
    }
    expect((await send(service, `/runs/${id}/cancel`, { by: "eve" })).status).toBe(303);
    expect(service.kubernetes.mutations().filter(({ path: p }) => p.endsWith(own.app))).toEqual([]);
  });
});

describe("the record", () => {
  test("is a list with filters, and says how far its chain was verified", async () => {
    const { body } = await lookJson(service, `/audit?run=${question.runId}`);
    const page = await look(service, "/audit");

    expect(body).toMatchObject({
      rows: [{ event: "approval_pending", actor: "fettle" }, { event: "request" }],
      next: null,
    });
    expect(page.text).toMatch(/[Cc]hain .*verified/s);
  });

  test("is exported with every filter; a spreadsheet finds no formula in it", async () => {
    await post(service, frame({ app: "export", labels: { reason: "=cmd|' /C calc'!A0" } }));
    const actor = "=HYPERLINK(1)";
    await send(service, "/breakers/open", { key: "shop/export-app", by: actor, reason: "+1+1" });
    const filter = new URLSearchParams({ actor, format: "csv" }).toString();
    const csv = await look(service, `/audit/export?${filter}`);
    const json = await lookJson(service, `/audit/export?app=export-app&format=json`);
    const none = await look(service, "/audit/export?app=nobody&format=csv");

    expect(csv.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect(csv.headers.get("content-disposition")).toBe('attachment; filename="audit.csv"');
    const [head, line, ...rest] = csv.text.split("\r\n");
    expect(head).toBe(
      "id,at,runId,event,actor,namespace,app,target,action,detail,correlationId,traceId,hash",
    );
    expect(line).toContain('"breaker_opened","\'=HYPERLINK(1)","shop","export-app"');
    expect(rest).toEqual([""]);
    expect(json.body).toMatchObject({ rows: [{ actor, event: "breaker_opened" }] });
    expect(none.text.split("\r\n")).toHaveLength(2);
  });
});
