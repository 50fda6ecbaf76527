import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { attemptDelivery } from "../fakes/alertmanager-sender.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants } from "./invariants.ts";
import { measure, metricOf, type Measured } from "./measure.ts";
import { givenSurroundings, type Surroundings } from "./surroundings.ts";

/** Longer than a worker and the sweep need for a run that has its approval. */
const NOTHING_MS = 5_000;
const APPS = ["replica", "disk"] as const;

let around: Surroundings;
let admin: Database;
let service: FettleProcess;
let before: Measured;
beforeAll(async () => {
  around = await givenSurroundings({ apps: [...APPS] });
  const url = around.env["AIOPS_DATABASE_URL"] ?? "";
  admin = openDatabase({ url, applicationName: "admin", max: 1 }, silentLog);
  service = await startFettle("runbooks", "RUNBOOKS_PORT", around.env);
  before = await measure(service.url);
});
afterAll(async () => {
  await service.stop();
  await admin.close();
  await around.stop();
});

/** Two ways in which a database answers and takes nothing. */
const FAULTS: Record<
  (typeof APPS)[number],
  { begin: () => Promise<void>; end: () => Promise<void> }
> = {
  replica: {
    begin: async () => {
      await setReadOnly("on");
      await admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'fettle%' AND datname = current_database()",
      );
    },
    end: async () => setReadOnly("off"),
  },
  disk: {
    begin: async () => {
      await change(`CREATE OR REPLACE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`);
      for (const table of FULL)
        await change(
          `CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION no_space()`,
        );
    },
    end: async () => {
      for (const table of FULL) await change(`DROP TRIGGER no_space ON ${table}`);
    },
  },
};
const FULL = ["inbox", "runs", "runbooks_audit", "breaker_slots", "approvals", "instances"];

async function setReadOnly(value: "on" | "off"): Promise<void> {
  const { rows } = await admin.query<{ name: string }>("SELECT current_database() AS name");
  const name = rows[0]?.name ?? "";
  await change(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`);
}

async function change(sql: string): Promise<void> {
  await admin.inTransaction(async (tx) => {
    // A session that was opened while the database was read-only is so for ever.
    await tx.query("SET TRANSACTION READ WRITE");
    await tx.query(sql);
  });
}

async function isIn(app: string, state: string): Promise<void> {
  await waitUntil(`${app} to be ${state}`, async () => (await around.stateOf(app)) === state);
}

/** One attempt, without a second one. */
async function send(app: string): Promise<number | undefined> {
  const labels = { alertname: "AIOpsAnomalyDetected", namespace: "shop", app: `${app}-other` };
  const alert = { status: "firing", labels, annotations: {}, startsAt: "2026-11-21T03:00:00Z" };
  const frame = { version: "4", receiver: "fettle", status: "firing", alerts: [alert] };
  const { status } = await attemptDelivery(`${service.url}/alertmanager`, JSON.stringify(frame), {
    authorization: `Bearer ${CANARIES.token}`,
  });
  return status;
}

test.each(APPS)(
  "a database that answers and takes no writes (%s): 503, nothing is done, an alarm; afterwards all goes on",
  async (app) => {
    const restarts = () =>
      around.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${app}`)).length;
    await around.deliver(service.url, "firing", app);
    await isIn(app, "approval_pending");

    await FAULTS[app].begin();
    const pressed = around.approve(service.url, app); // pressed again until a page comes back
    await waitUntil("the refusal", async () => (await send(app)) === 503);
    await waitUntil("the alarm", async () => {
      return (await metricOf(service.url, "runbooks_database_writable")) === 0;
    });
    await sleep(NOTHING_MS);
    const states = [await around.stateOf(app), restarts(), await send(app)];
    await FAULTS[app].end();

    expect(states).toEqual(["approval_pending", 0, 503]);
    expect(await pressed).toBe(200);
    await isIn(app, "verifying");
    await waitUntil("the end of the refusal", async () => (await send(app)) === 202);
    await around.deliver(service.url, "resolved", app);
    await isIn(app, "succeeded");
    await waitUntil("the end of the alarm", async () => {
      return (await metricOf(service.url, "runbooks_database_writable")) === 1;
    });
    expect(restarts()).toBe(1);
    const processes = [{ url: service.url, before }];
    expect(await brokenInvariants({ ...around, output: service.output, processes })).toEqual([]);
  },
  150_000,
);

test("a service whose database takes no writes says so in /ready", async () => {
  await FAULTS.replica.begin();
  await waitUntil("the word", async () => {
    const { checks } = (await (await fetch(`${service.url}/ready`)).json()) as {
      checks: { database: { detail?: string } };
    };
    return checks.database.detail === "takes no writes";
  });
  const { status } = await fetch(`${service.url}/ready`);
  await FAULTS.replica.end();

  expect(status).toBe(503);
  await waitUntil("readiness", async () => (await fetch(`${service.url}/ready`)).ok);
});
