import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openRunbookRecord } from "../../../detector/adapters/runbook-record.ts";
import type { Database } from "../../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

const MINUTE = 60_000;
const AT = Date.parse("2026-11-20T10:00:00Z");
const RANGE = { from: new Date(AT - 60 * MINUTE), to: new Date(AT + 60 * MINUTE) };

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

interface GivenRun {
  readonly id: string;
  /** What the policy calls its target; its name, unless the alert said otherwise. */
  readonly app?: string;
  readonly state?: string;
  readonly intentAt?: number;
  readonly finishedAt?: number;
}

/** A run as the runbooks service writes it. */
async function givenRun({ id, app = id, state = "succeeded", intentAt, finishedAt }: GivenRun) {
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at)
     VALUES ($1, 'prod/shop/deployment/' || $1, 'r', $2, 'shop', $4, '{}', now(), $3)`,
    [id, state, finishedAt === undefined ? null : new Date(finishedAt), app],
  );
  const events = [["request", AT - 30 * MINUTE] as const];
  for (const [event, at] of intentAt === undefined ? events : [...events, ["intent", intentAt]]) {
    await database.query(
      "INSERT INTO runbooks_audit (run_id, event, actor, ts) VALUES ($1, $2, 'fettle', $3)",
      [id, event, new Date(at)],
    );
  }
}

async function givenEpisode(labels: object, start: number, seen: number, end?: number) {
  await database.query(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, last_seen_at, resolved_at)
     VALUES ('alertmanager', $1, $2, '{}', $3, $3, $4, $5)`,
    [
      JSON.stringify(labels),
      JSON.stringify(labels),
      new Date(start),
      new Date(seen),
      end === undefined ? null : new Date(end),
    ],
  );
}

test("what a runbook may have done to a workload is masked, from the call until it has settled", async () => {
  await givenRun({ id: "done", intentAt: AT, finishedAt: AT + 5 * MINUTE });
  await givenRun({ id: "unknown", state: "unknown", intentAt: AT, finishedAt: AT + MINUTE });
  await givenRun({ id: "active", state: "verifying", intentAt: AT });
  await givenRun({ id: "dry", state: "skipped_dry_run", intentAt: AT, finishedAt: AT });
  await givenRun({ id: "refused", state: "rejected", finishedAt: AT });
  await givenRun({ id: "earlier", intentAt: AT - 300 * MINUTE, finishedAt: AT - 299 * MINUTE });
  await givenRun({ id: "later", intentAt: AT + 61 * MINUTE });

  const masks = await openRunbookRecord(database).masks(RANGE);

  const of = (app: string, to: number) => ({
    namespace: "shop",
    app,
    from: AT,
    to,
    cause: "runbook",
  });
  expect(
    masks.toSorted((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other))),
  ).toEqual([
    of("active", Infinity),
    of("done", AT + 15 * MINUTE),
    of("unknown", AT + 11 * MINUTE),
  ]);
});

test("a run masks its target by the app that the alert named, and by the workload's own name", async () => {
  await database.query("TRUNCATE runs CASCADE");
  await givenRun({ id: "checkout-api", app: "checkout", intentAt: AT, finishedAt: AT });

  const masks = await openRunbookRecord(database).masks(RANGE);

  expect(masks.map(({ to, cause, ...rest }) => ({ ...rest, to, cause }))).toEqual(
    ["checkout", "checkout-api"].map((app) => ({
      ...{ namespace: "shop", app, cause: "runbook" },
      ...{ from: AT, to: AT + 10 * MINUTE },
    })),
  );
});

test.each([
  [{ deployment: "api", app: "checkout" }, ["api", "checkout"]],
  [{ statefulset: "db" }, ["db"]],
  [{ daemonset: "agent" }, ["agent"]],
  [{ service: "web" }, ["web"]],
  [{ pod: "api-gateway-7d9f8b6c5d-x7k2p" }, ["api-gateway"]],
  [{ pod: "db-0", app: "orders" }, ["db", "orders"]],
  [{ pod: "backup-29424495-x7k2p" }, []],
  [{ pod: "" }, []],
])("an alert with the labels %j masks %j", async (labels, apps) => {
  await database.query("TRUNCATE runs, episodes CASCADE");
  await givenEpisode({ alertname: "Slow", namespace: "shop", ...labels }, AT, AT, AT);

  const masks = await openRunbookRecord(database).masks(RANGE);

  expect(masks).toEqual(
    apps.map((app) => ({ namespace: "shop", app, from: AT, to: AT, cause: "alert" })),
  );
});

test("an alert about a container of the hypervisor masks it in its project; one of Kubernetes names none", async () => {
  await database.query("TRUNCATE runs, episodes CASCADE");
  await givenEpisode({ alertname: "Down", container: "web1", project: "lab" }, AT, AT, AT);
  await givenEpisode({ alertname: "Oom", container: "app", namespace: "shop" }, AT, AT, AT);
  await givenEpisode({ alertname: "Oom", container: "a", project: "lab", pod: "p" }, AT, AT, AT);

  const masks = await openRunbookRecord(database).masks(RANGE);

  expect(masks).toEqual([{ namespace: "lab", app: "web1", from: AT, to: AT, cause: "alert" }]);
});

test("other senders' alerts mask their workload until they resolve, or are forgotten; our own do not", async () => {
  await database.query("TRUNCATE runs, episodes CASCADE");
  const shop = { namespace: "shop" };
  const end = AT + 2 * MINUTE;
  await givenEpisode({ alertname: "Slow", ...shop, app: "api" }, AT, end, end);
  await givenEpisode({ alertname: "Down", ...shop, app: "web" }, AT, AT + MINUTE);
  await givenEpisode({ alertname: "AIOpsAnomalyDetected", ...shop, app: "own" }, AT, AT);
  await givenEpisode({ alertname: "Quota", ...shop }, AT, AT);
  await givenEpisode({ alertname: "Watchdog" }, AT, AT);
  await givenEpisode({ alertname: "Old", ...shop, app: "old" }, 0, 0);

  const masks = await openRunbookRecord(database).masks(RANGE);

  const of = (app: string, to: number) => ({
    namespace: "shop",
    app,
    from: AT,
    to,
    cause: "alert",
  });
  expect(masks.toSorted((one, other) => one.to - other.to)).toEqual([
    of("api", end),
    of("web", AT + MINUTE + 24 * 60 * MINUTE),
  ]);
});

test("a database that has no runbooks has no such masks; one that hides them makes training fail", async () => {
  const other = await createTestDatabase();
  const admin = openTestDatabase(other.url);
  await admin.query("DROP TABLE runbooks_audit, breaker_slots, approvals, runs CASCADE");

  const none = await openRunbookRecord(admin).masks(RANGE);
  await admin.close();
  await other.drop();
  const hidden = database.inTransaction(async (tx) => {
    await tx.query("CREATE ROLE record_reader");
    await tx.query("SET LOCAL ROLE record_reader");
    return openRunbookRecord(tx).masks(RANGE);
  });

  expect(none).toEqual([]);
  await expect(hidden).rejects.toThrow(/permission denied for table/);
});
