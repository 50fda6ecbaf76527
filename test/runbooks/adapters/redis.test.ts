import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { silentLog } from "../../../lib/log.ts";
import type { Database } from "../../../lib/postgres.ts";
import { Secret } from "../../../lib/secret.ts";
import { redisBreakerView } from "../../../runbooks/adapters/redis.ts";
import { openGuard, takeSlot } from "../../../runbooks/guard.ts";
import type { BreakerState, BreakerView } from "../../../runbooks/types/breaker.ts";
import { recordingLog } from "../../fakes/recording-log.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { redisUrl, startPrivateRedis, type PrivateRedis } from "../../servers/redis.ts";
import { given, waitingRun, type GivenChange } from "../given.ts";

type View = Awaited<ReturnType<typeof redisBreakerView>>;

async function withView(url: string, work: (view: View) => Promise<void>): Promise<void> {
  const view = await redisBreakerView(new Secret(url), silentLog);
  try {
    await work(view);
  } finally {
    await view.stop();
  }
}

describe("the breaker's counters in Redis", () => {
  test("hold each run once, for all replicas", async () => {
    const app = `test/${randomUUID()}`;

    await withView(redisUrl(), async (one) => {
      await withView(redisUrl(), async (other) => {
        await one.rebuild([]);
        await one.taken(app, "run_1");
        await other.taken(app, "run_2");
        await other.taken(app, "run_2");

        expect(await one.used(app)).toEqual({ hour: 2, day: 2 });
        expect(await one.used(`${app}-other`)).toEqual({ hour: 0, day: 0 });
      });
    });
  });

  test("forget what is older than an hour and a day", async () => {
    const app = `test/${randomUUID()}`;
    const redis = new Redis(redisUrl());
    const now = Number((await redis.time())[0]);
    await redis.zadd(`fettle:breaker:${app}`, now - 3_700, "run_hour", now - 90_000, "run_day");

    await withView(redisUrl(), async (view) => {
      await view.rebuild([]);
      expect(await view.used(app)).toEqual({ hour: 0, day: 1 });
      await view.taken(app, "run_new");
      expect(await view.used(app)).toEqual({ hour: 1, day: 2 });
      expect(await redis.zcard(`fettle:breaker:${app}`)).toBe(2);
    });
    await redis.quit();
  });
});

describe("a Redis that fails", () => {
  let redis: PrivateRedis;
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    redis = await startPrivateRedis();
    testDatabase = await createTestDatabase();
    database = openTestDatabase(testDatabase.url);
  });
  afterAll(async () => {
    await redis.stop();
    await database.close();
    await testDatabase.drop();
  });

  /** A run that waits for its answer, or has ended without asking. */
  async function stateOfNewRun(app: string, more: GivenChange): Promise<string | undefined> {
    const setup = given(database, app, more);
    await setup.deliver([{}]);
    await setup.advance((await setup.runs())[0]?.id ?? "");
    return (await setup.runs())[0]?.state;
  }

  async function admin(work: (client: Redis) => Promise<unknown>): Promise<void> {
    const client = new Redis(redis.url);
    await work(client);
    await client.quit();
  }

  async function counted(target: string, view: BreakerView): Promise<BreakerState> {
    const guard = openGuard({ database, limits: { hourly: 3, daily: 10 }, view });
    return (await guard.read({ target, app: "app:none" })).target;
  }

  test("while it is away its counters are unknown, which counts as no; afterwards it counts again", async () => {
    await withView(redis.url, async (breakerView) => {
      expect(await stateOfNewRun("redis-up", { breakerView })).toBe("approval_pending");
      await redis.stop();

      expect(await breakerView.used("x")).toBeUndefined();
      expect(await stateOfNewRun("redis-down", { breakerView })).toBe("skipped_circuit");
      await breakerView.taken("x", "run_1"); // Postgres has the slot: it is only said

      await redis.start();
      await waitUntil("the reconnection", async () => (await breakerView.used("x")) !== undefined);
    });
  });

  test("when it freezes the answer is no within a second", async () => {
    await withView(redis.url, async (view) => {
      redis.freeze();
      const start = performance.now();
      try {
        expect(await view.used("x")).toBeUndefined();
        await view.taken("x", "run_1");
        expect(performance.now() - start).toBeLessThan(1_000);
      } finally {
        redis.thaw();
      }
    });
  });

  test("emptied, it is filled from Postgres before the next answer", async () => {
    const setup = given(database, "flushed");
    await setup.deliver([{}]);
    const id = (await setup.runs())[0]?.id ?? "";
    const limits = { hourly: 3, daily: 10 };
    const used = { kind: "known", open: false, usedHour: 1, usedDay: 1 };

    await withView(redis.url, async (view) => {
      await database.inTransaction(async (tx) =>
        takeSlot({ appKeys: ["flushed"], runId: id, limits }, tx),
      );
      expect(await counted("flushed", view)).toEqual(used);
      await admin(async (client) => client.flushall());

      expect(await view.used("flushed")).toBe("empty");
      expect(await counted("flushed", view)).toEqual(used);
      expect(await view.used("flushed")).toEqual({ hour: 1, day: 1 });
    });
  });

  test("full, it can count nothing any more, which counts as no; also when it is asked for the slot", async () => {
    await withView(redis.url, async (breakerView) => {
      const setup = given(database, "redis-full", { breakerView });
      const id = await waitingRun(setup);
      await setup.answer(id, "approved");
      await admin(async (client) => client.config("SET", "maxmemory", "1"));
      try {
        expect(await breakerView.used("x")).toBeUndefined();
        await setup.advance(id);
      } finally {
        await admin(async (client) => client.config("SET", "maxmemory", "0"));
      }

      expect(await setup.runs()).toMatchObject([
        { state: "skipped_circuit", outcome: expect.stringContaining("store_unavailable") },
      ]);
      expect(setup.cluster.effects).toEqual([]);
    });
  });

  test("as a replica that cannot be written to it counts as no", async () => {
    await withView(redis.url, async (view) => {
      await view.rebuild([]);
      await admin(async (client) => client.replicaof("127.0.0.1", "1"));
      try {
        expect(await view.used("x")).toBeUndefined();
      } finally {
        await admin(async (client) => client.replicaof("NO", "ONE"));
      }
    });
  });

  test("its counters can only add: what Postgres does not know of counts as well", async () => {
    await withView(redis.url, async (view) => {
      await view.rebuild([]);
      for (const run of ["run_1", "run_2"]) await view.taken("restored", run);

      expect(await counted("restored", view)).toMatchObject({ usedHour: 2 });
    });
  });

  test("that is away at the start is said, and waited for", async () => {
    await redis.stop();
    const log = recordingLog();

    const view = await redisBreakerView(new Secret(redis.url), log);
    expect(await view.used("x")).toBeUndefined();
    expect(log.text()).toContain("error redis is not reachable");
    await redis.start();
    await waitUntil("the connection", async () => (await view.used("x")) !== undefined);
    await view.stop();
  });
});
