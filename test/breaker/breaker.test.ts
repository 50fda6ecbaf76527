import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { breakerKeyOf, changeBreaker, listBreakers } from "../../runbooks/breaker-control.ts";
import { openGuard } from "../../runbooks/guard.ts";
import { findRun } from "../../runbooks/ledger.ts";
import { given, stateOf, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const LIMITS = { hourly: 3, daily: 10 };

let testDatabase: TestDatabase;
let database: Database;
let names = 0;
const nextName = () => `breaker-${++names}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const guard = () => openGuard({ database, limits: LIMITS, view: undefined });

/** Runs of an app, each on a target of its own. */
async function givenRuns(app: string, count: number): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, look_at)
     SELECT $1 || '-' || n, 'default/shop/deployment/' || $1 || '-' || n, 'anomaly', 'approved', 'shop', $1, '{}', now(), NULL
       FROM generate_series(1, $2::int) n RETURNING id`,
    [app, count],
  );
  return rows.map(({ id }) => id);
}

async function take(app: string, runId: string, target = `default/shop/deployment/${runId}`) {
  const keys = { target, app: `app:default/shop/${app}` };
  return database.inTransaction(async (tx) => guard().take({ ...keys, runId }, tx));
}

describe("the slots", () => {
  test("of an app are shared by all of its targets, exactly, with 64 clients on 20 apps", async () => {
    const apps = Array.from({ length: 20 }, nextName);
    const runs = await Promise.all(apps.map(async (app) => givenRuns(app, 8)));
    const wanted = runs.flatMap((ids, at) => ids.map((id) => ({ id, app: apps[at] ?? "" })));

    const taken: string[] = [];
    const client = async () => {
      for (let next = wanted.pop(); next !== undefined; next = wanted.pop())
        if ((await take(next.app, next.id)).taken) taken.push(next.app);
    };
    await Promise.all(Array.from({ length: 64 }, client));

    for (const app of apps) expect(taken.filter((one) => one === app)).toHaveLength(LIMITS.hourly);
  });

  test("are taken of both keys or of none", async () => {
    const [app, other] = [nextName(), nextName()];
    const [first = "", second = "", third = "", fourth = ""] = await givenRuns(app, 4);
    for (const run of [first, second, third]) expect((await take(app, run)).taken).toBe(true);

    expect(await take(app, fourth)).toEqual({
      taken: false,
      why: "3 of 3 actions used in the last hour",
    });
    expect(await guard().read({ target: `default/shop/deployment/${fourth}`, app: other })).toEqual(
      {
        target: { kind: "known", open: false, usedHour: 0, usedDay: 0 },
        app: { kind: "known", open: false, usedHour: 0, usedDay: 0 },
      },
    );
  });

  test("of the last day count against the daily limit when the hour has room again", async () => {
    const app = nextName();
    const [late = "", ...runs] = await givenRuns(app, 11);
    for (const run of runs) {
      await take(app, run);
      await database.query(
        "UPDATE breaker_slots SET taken_at = now() - interval '2 hours' WHERE run_id = $1",
        [run],
      );
    }

    expect(await take(app, late)).toEqual({
      taken: false,
      why: "10 of 10 actions used in the last day",
    });
  });
});

describe("an action that does not help", () => {
  /** The end of a run that acted on the target. */
  async function ended(app: string, state: "succeeded" | "failed" | "unknown") {
    const id = `${app}-${nextName()}`;
    const target = `default/shop/deployment/${app}`;
    await database.query(
      `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at)
       VALUES ($1, $2, 'anomaly', 'verifying', 'shop', $3, '{}', now())`,
      [id, target, app],
    );
    await database.query(
      "INSERT INTO runbooks_audit (run_id, event, actor) VALUES ($1, 'executed', 'fettle')",
      [id],
    );
    await take(app, id, target);
    const run = await findRun(id, database);
    if (run === undefined) throw new Error("the run is gone");
    await database.inTransaction(async (tx) => {
      await guard().outcome(run, state, tx);
      await tx.query("UPDATE runs SET state = $2, finished_at = clock_timestamp() WHERE id = $1", [
        id,
        state,
      ]);
    });
    const { rows } = await database.query<{ state: string }>(
      "SELECT state FROM breakers WHERE app_key = $1",
      [target],
    );
    return rows[0]?.state;
  }

  test("three times in a row opens the target's breaker, until a person closes it", async () => {
    const app = nextName();
    const key = `default/shop/deployment/${app}`;
    expect(await ended(app, "failed")).toBe("closed");
    expect(await ended(app, "failed")).toBe("closed");
    expect(await ended(app, "unknown")).toBe("closed");
    expect(await ended(app, "failed")).toBe("open");
    expect(await listBreakers(database, key)).toMatchObject([
      { state: "open", openedBy: "fettle", reason: "the last 3 actions did not help" },
    ]);

    const change = { key, state: "closed", by: "ana", reason: "the image was fixed" } as const;
    expect(await changeBreaker(change, database)).toBe(true);
    expect(await ended(app, "failed")).toBe("closed"); // what failed before the close is forgiven
  });

  test("twice, with one that helped between, opens nothing", async () => {
    const app = nextName();
    for (const state of ["failed", "failed", "succeeded", "failed", "failed"] as const)
      expect(await ended(app, state)).toBe("closed");
  });
});

describe("a person", () => {
  test.each(["app", "target"])(
    "who opens the breaker of the %s stops a run that was approved already",
    async (kind) => {
      const app = nextName();
      const setup = given(database, app);
      const id = await waitingRun(setup);
      await setup.answer(id, "approved");
      const key = kind === "app" ? `app:default/shop/${app}` : `default/shop/deployment/${app}`;
      await changeBreaker({ key, state: "open", by: "ivan", reason: "release day" }, database);

      await setup.advance(id);

      expect(await stateOf(setup)).toBe("skipped_circuit");
      expect(setup.cluster.effects).toEqual([]);
    },
  );

  test("leaves a trace with the reason, once", async () => {
    const key = `app:default/shop/${nextName()}`;
    const change = { key, state: "open", by: "ivan", reason: "release day" } as const;

    expect([await changeBreaker(change, database), await changeBreaker(change, database)]).toEqual([
      true,
      false,
    ]);

    const { rows } = await database.query(
      "SELECT event, actor, namespace, detail FROM runbooks_audit WHERE detail->>'breaker' = $1",
      [key],
    );
    expect(rows).toEqual([
      {
        event: "breaker_opened",
        actor: "ivan",
        namespace: "shop",
        detail: { breaker: key, why: "release day", via: "cli" },
      },
    ]);
  });
});

test.each([
  ["shop/checkout", "app:eu/shop/checkout"],
  ["shop/statefulset/db", "eu/shop/statefulset/db"],
  ["us/shop/deployment/web", "us/shop/deployment/web"],
  ["app:us/shop/web", "app:us/shop/web"],
])("%s names the breaker %s", (text, key) => {
  expect(breakerKeyOf(text, "eu")).toBe(key);
});

test.each(["checkout", "", "shop/", "shop/pod/x", "app:shop/x", "a/b/c/d/e"])(
  "%j names no breaker",
  (text) => {
    expect(() => breakerKeyOf(text, "eu")).toThrow(RangeError);
  },
);
