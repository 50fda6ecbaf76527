import { afterEach, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { createTestDatabase, startPrivatePostgres } from "../servers/postgres.ts";
import { givenReplicas, SHORT, shownOf, type Replica, type World } from "./given-replicas.ts";

const METRICS = ["errors", "latency", "load", "queue"];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function given(databaseUrl?: string): Promise<World> {
  if (databaseUrl === undefined) {
    const database = await createTestDatabase();
    cleanups.push(database.drop);
    return given(database.url);
  }
  const world = await givenReplicas(databaseUrl, METRICS);
  cleanups.push(world.stop);
  return world;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  await waitUntil(what, look);
}

async function sizes(world: World): Promise<string> {
  return (await world.split()).map(({ length }) => length).join();
}

async function pageOf({ url }: Replica): Promise<string> {
  return (await fetch(url, { headers: { accept: "text/html" } })).text();
}

test("replicas share the metrics: a late one gets its part, and who gave one away shows nothing of it any more", async () => {
  const world = await given();
  const one = await world.start(SHORT);
  expect(await sizes(world)).toBe("4");
  const two = await world.start(SHORT);
  expect((await pageOf(two)).match(/another replica watches it/g)).toHaveLength(4);
  await until("two metrics each", async () => (await sizes(world)) === "2,2");
  await world.start(SHORT);
  await until("a part for the third", async () => (await sizes(world)) === "2,1,1");

  for (const metric of METRICS) {
    await until(`one owner of ${metric} on all pages`, async () => {
      const { owned, series } = await shownOf(metric, one);
      return (
        owned === series && owned !== (await pageOf(one)).includes(`${metric}: another replica`)
      );
    });
  }
  const { checks } = (await (await fetch(`${one.url}/ready`)).json()) as {
    checks: { groups: { detail: string } };
  };
  expect(checks.groups.detail).toMatch(/^[12] of 4 watched here; by other replicas: /);
}, 180_000);

test("a replica that is told to stop hands over at once, long before its leases end", async () => {
  const world = await given();
  const first = await world.start();
  const second = await world.start();
  expect((await shownOf("latency", second)).owned).toBe(false);

  const stoppedAt = performance.now();
  await first.stop();
  await until("a new owner of all", async () => (await sizes(world)) === "4");
  const seconds = (performance.now() - stoppedAt) / 1000;
  await until("all to be watched", async () => (await shownOf("latency", second)).series);

  process.stdout.write(`graceful handover: ${seconds.toFixed(1)} s\n`);
  expect(seconds).toBeLessThan(15); // the leases would have run for 18 s at least
});

test("a database that is away for longer than a lease changes no owner, and scoring goes on meanwhile", async () => {
  const server = await startPrivatePostgres();
  cleanups.push(server.remove);
  await migrate(server.url, silentLog);
  const world = await given(server.url);
  const one = await world.start(SHORT);
  await world.start(SHORT);
  await until("two metrics each", async () => (await sizes(world)) === "2,2");
  const look = async () =>
    (await world.database.query("SELECT metric, owner, epoch FROM aiops_groups ORDER BY metric"))
      .rows;
  const before = await look();
  const scored = async () => {
    const page = await (await fetch(`${one.url}/metrics`)).text();
    const counts = [...page.matchAll(/^aiops_series_scored_total\S* (\d+)$/gm)];
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  };

  await server.stop("fast");
  const atOutage = await scored();
  await new Promise((resolve) => setTimeout(resolve, SHORT.leaseMs + 2_000));
  await until("points to be scored without it", async () => (await scored()) >= atOutage + 8);
  await server.start();
  await new Promise((resolve) => setTimeout(resolve, SHORT.leaseMs + 2_000));

  expect(await look()).toEqual(before);
  await until("its return to be noticed", async () => (await fetch(`${one.url}/ready`)).ok);
}, 180_000);
