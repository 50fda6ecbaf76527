import { afterEach, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { givenReplicas, SHORT, shownOf, type World } from "./given-replicas.ts";

/** What was promised: from a kill -9 to another owner that is up to date. */
const TAKEOVER_MS = 35_000;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function given(metrics: readonly string[]): Promise<World> {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await givenReplicas(database.url, metrics);
  cleanups.push(world.stop);
  return world;
}

async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  await waitUntil(what, async () => look(), 90_000);
}

function counted(world: World, alert: string): number {
  return world.posted.filter((one) => one === alert).length;
}

async function anomalies(world: World) {
  const sql = "SELECT id, metric, opened_at, close_cause FROM aiops_anomalies ORDER BY metric";
  return (
    await world.database.query<{
      readonly id: string;
      readonly metric: string;
      readonly opened_at: Date;
      readonly close_cause: string | null;
    }>(sql)
  ).rows;
}

/** How far a metric is evaluated, as the database knows; milliseconds since 1970. */
async function evaluatedUntil(world: World, metric: string): Promise<number> {
  const { rows } = await world.database.query<{ readonly evaluated_until: Date }>(
    "SELECT evaluated_until FROM aiops_progress WHERE metric = $1",
    [metric],
  );
  return rows[0]?.evaluated_until.getTime() ?? 0;
}

test("kill -9 in mid-incident: another replica goes on with the same episodes within 35 s, one alert, one end", async () => {
  const metrics = ["errors", "latency"];
  const world = await given(metrics);
  const owner = await world.spawn();
  const heir = await world.spawn();
  world.target.setLevel(0.9);
  await until("both alerts", () => world.posted.length === 2);
  const opened = await anomalies(world);

  const killedAt = Date.now();
  await owner.kill();
  await waitUntil(
    "another owner, up to date",
    async () => {
      const progress = await Promise.all(metrics.map(async (name) => evaluatedUntil(world, name)));
      return progress.every((until) => until > killedAt);
    },
    TAKEOVER_MS,
  );
  process.stdout.write(`takeover after kill -9: ${(Date.now() - killedAt) / 1000} s\n`);

  for (const metric of metrics)
    expect(await shownOf(metric, heir)).toEqual({ owned: true, series: true });
  const page = await (await fetch(`${heir.url}/metrics`)).text();
  expect(page).toMatch(/^aiops_group_takeovers_total\S* 2$/m);
  expect(page.match(/^aiops_anomaly_current\S* 1$/gm)).toHaveLength(2);
  world.target.setLevel(0.3);
  await until("both ends", () => world.posted.length === 4);

  expect(counted(world, "firing errors") + counted(world, "firing latency")).toBe(2);
  expect(counted(world, "resolved errors") + counted(world, "resolved latency")).toBe(2);
  expect(await anomalies(world)).toEqual(
    opened.map((one) => ({ ...one, close_cause: "recovered" })),
  );
}, 180_000);

test("what begins while nobody watches is told by the next owner, with the time at which it began", async () => {
  const world = await given(["latency"]);
  const owner = await world.spawn(SHORT);
  const heir = await world.start(SHORT);
  await owner.kill();
  const began = Date.now();
  world.target.setLevel(0.9);
  await until("a new owner", async () => (await shownOf("latency", heir)).owned);
  const takenAt = Date.now();
  await until("the alert", () => world.posted.length > 0);

  const [anomaly] = await anomalies(world);
  expect(anomaly?.opened_at.getTime()).toBeLessThan(takenAt);
  expect(anomaly?.opened_at.getTime()).toBeGreaterThan(began - 1_000);
  expect(world.posted).toEqual(["firing latency"]);
});

test("an owner that freezes is replaced, and tells and writes nothing when it thaws", async () => {
  const world = await given(["latency"]);
  const owner = await world.spawn(SHORT);
  const heir = await world.start(SHORT);
  owner.freeze();
  world.target.setLevel(0.9);
  await until("the alert of another owner", () => world.posted.length > 0);
  expect((await shownOf("latency", heir)).owned).toBe(true);

  const seen: number[] = [];
  owner.thaw();
  await until("the former owner to notice", async () => !(await shownOf("latency", owner)).owned);
  for (const end = Date.now() + 5_000; Date.now() < end;) {
    seen.push(await evaluatedUntil(world, "latency"));
  }

  expect(world.posted).toEqual(["firing latency"]);
  expect(await anomalies(world)).toHaveLength(1);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(await shownOf("latency", owner)).toEqual({ owned: false, series: false });
  expect(owner.output()).toContain("group belongs to another replica now");
});

test("kill -9 and restart of the only replica in mid-incident: the same episode, no second alert, one end", async () => {
  const world = await given(["latency"]);
  const first = await world.spawn(SHORT);
  world.target.setLevel(0.9);
  await until("the alert", () => world.posted.length === 1);
  const opened = await anomalies(world);
  await first.kill();

  await world.spawn(SHORT);
  const again = await evaluatedUntil(world, "latency");
  await until(
    "ten more points",
    async () => (await evaluatedUntil(world, "latency")) > again + 1e4,
  );
  expect(world.posted).toEqual(["firing latency"]);
  world.target.setLevel(0.3);
  await until("its end", () => world.posted.length === 2);

  expect(world.posted).toEqual(["firing latency", "resolved latency"]);
  expect(await anomalies(world)).toEqual(
    opened.map((one) => ({ ...one, close_cause: "recovered" })),
  );
}, 180_000);
