import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { givenService, type GivenService } from "../given-service.ts";
import { look, lookJson, PAGES_ENV, send } from "./given-pages.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService({ ...PAGES_ENV });
  await service.database.query(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, resolved_at)
     SELECT 'x', n::text, jsonb_build_object('alertname', 'AIOpsAnomalyDetected', 'metric', 'latency_p99', 'reason',
              'level_shift', 'namespace', 'shop', 'app', 'past-' || n % 5), '{}',
            now() - n * interval '1 hour', now() - n * interval '1 hour', now() - n * interval '1 hour' + interval '20 minutes'
       FROM generate_series(1, 100) AS n`,
  );
});
afterAll(async () => service.stop());

test("a policy that was pasted is lived through, compared with the one in force, and kept", async () => {
  const empty = await look(service, "/backtests");
  const policy = "latency_p99:trend_break=rollout_restart";
  const answer = await send(service, "/backtests", { policy, days: "3", by: "ana" });
  const path = answer.headers.get("location") ?? "";
  const page = await look(service, path);
  const { body } = await lookJson(service, path);
  const list = await lookJson(service, "/backtests");

  expect(empty.text).toContain("Nobody has tried a policy here yet.");
  expect([answer.status, path]).toEqual([303, expect.stringMatching(/^\/backtests\/bt_\w+$/)]);
  expect(page.text).toContain("What changes");
  expect(page.text).toContain(policy);
  expect(page.text).not.toMatch(/<style|style=/);
  // Three days have 71 or 72 whole hours; the policy in force acts on each episode that its limits let through.
  expect(body).toMatchObject({ by: "ana", days: 3, policy, report: { source: "db" } });
  const { tally } = (body["report"] as { policy: { tally: { alerts: number; actions: number } } })
    .policy;
  expect([71, 72]).toContain(tally.alerts);
  expect(tally.actions).toBe(0);
  expect(list.body).toMatchObject({ backtests: [{ by: "ana", days: 3, actions: 0 }] });
  const [kept] = list.body["backtests"] as readonly { actionsBefore: number }[];
  expect(kept?.actionsBefore).toBeGreaterThan(10);
});

describe("what is wrong with the form is told by name, and nothing is kept", () => {
  test.each<[Record<string, string>, string]>([
    [{ policy: "", days: "7", by: "ana" }, "policy: must not be empty"],
    [{ policy: "nonsense", days: "7", by: "ana" }, "policy: "],
    [{ policy: "x=explode", days: "7", by: "ana" }, "policy: "],
    [{ policy: "x=rollout_restart", days: "0", by: "ana" }, "days: must be from 1 to 90"],
    [{ policy: "x=rollout_restart", days: "x", by: "ana" }, "days: must be a number"],
    [{ policy: "x=rollout_restart", days: "7", by: "" }, "by: must not be empty"],
  ])("%j", async (fields, expected) => {
    const before = await lookJson(service, "/backtests");
    const answer = await send(service, "/backtests", fields);

    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(expected)]);
    expect((await lookJson(service, "/backtests")).body).toEqual(before.body);
  });
});

test("one that is not there, or not any more, is not found", async () => {
  const page = await look(service, "/backtests/bt_0");

  expect([page.status, page.text.includes("Unknown backtest")]).toEqual([404, true]);
});
