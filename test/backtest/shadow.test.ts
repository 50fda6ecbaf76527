import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { shadowReport } from "../../runbooks/shadow.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

let place: TestDatabase;
let database: Database;

beforeAll(async () => {
  place = await createTestDatabase();
  database = openTestDatabase(place.url);
});

afterAll(async () => {
  await database.close();
  await place.drop();
});

const RULE = {
  key: "shop.*",
  trigger: "latency_p99",
  action: "rollout_restart",
  options: { mode: "shadow" },
  text: "latency_p99=rollout_restart{mode=shadow}",
};
const START = Date.parse("2026-11-02T00:00:00Z");
const minute = (number: number) => new Date(START + number * 60_000);
const WHOLE = { from: minute(0), to: minute(1_000_000) };

/** A run that only watched, decided at a minute; its alert is over at another one, or not at all. */
async function watchedRun(id: string, at: number, resolved: number | null): Promise<void> {
  await run(id, "skipped_shadow", at, RULE);
  await database.query(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, resolved_at, run_id)
     VALUES ('test', $1, '{}', '{}', $2, $2, $3, $1)`,
    [id, minute(at), resolved === null ? null : minute(resolved)],
  );
}

async function run(id: string, state: string, at: number, rule: object | null): Promise<void> {
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, rule, deadline_at, created_at, finished_at)
     VALUES ($1, $2, $1, $3, 'shop', 'checkout', '{}', $4, $5, $5, $5)`,
    [
      id,
      `default/shop/deployment/${id.split("-")[0] ?? ""}`,
      state,
      rule && JSON.stringify(rule),
      minute(at),
    ],
  );
}

async function executed(id: string, at: number, action: string, by: string): Promise<void> {
  await run(id, "succeeded", at, null);
  for (const [event, actor] of [
    ["approved", by],
    ["executed", "fettle"],
  ])
    await database.query(
      "INSERT INTO runbooks_audit (run_id, event, actor, action, ts) VALUES ($1, $2, $3, $4, $5)",
      [id, event, actor, action, minute(at)],
    );
}

test("says for each line what happened anyway, with an interval", async () => {
  await watchedRun("alone", 0, 10);
  await watchedRun("quick", 0, 4);
  await watchedRun("firing", 0, null);
  await watchedRun("same", 0, 20);
  await executed("same-other", 5, "rollout_restart", "ana");
  await watchedRun("policy", 0, 20);
  await executed("policy-other", 5, "rollout_restart", "policy");
  await watchedRun("scaled", 0, 20);
  await executed("scaled-other", 5, "scale_up", "ana");
  await watchedRun("late", 0, 20);
  await executed("late-other", 30, "rollout_restart", "ana");

  expect(await shadowReport(WHOLE, database)).toEqual([
    {
      key: "shop.*",
      text: RULE.text,
      action: "rollout_restart",
      runs: 7,
      selfResolved: { count: 3, of: 6, low: 0.1876, high: 0.8124 },
      sameByPerson: 1,
      somethingElse: 2,
      unknown: 1,
      medianSeconds: 600,
      p90Seconds: expect.any(Number),
    },
  ]);
});

test("runs of another time are not counted", async () => {
  const before = { from: minute(-10), to: minute(0) };

  expect(await shadowReport(before, database)).toEqual([]);
});
