import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { storedEpisodes } from "../../runbooks/adapters/alert-history/episodes.ts";
import { Simulation } from "../../runbooks/backtest/simulate.ts";
import { given, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { WORLD } from "./given.ts";

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

test("a backtest of stored alerts decides what the service has decided about them", async () => {
  const apps = ["cart", "pay", "search", "stock", "ship", "tax", "mail"];
  for (const app of apps) await waitingRun(given(database, app, { switches: WORLD.switches }));
  const { rows } = await database.query<{ app: string; state: string }>(
    "SELECT app, state FROM runs ORDER BY created_at",
  );
  const reading = await given(database, "any").deps.policy.current();
  if (reading.kind === "unknown") throw new Error(reading.why);
  const simulation = new Simulation(reading.document, { ...WORLD, workloads: 1_000 });

  const simulated: { app: string; fate: string }[] = [];
  const period = { from: Date.parse("2026-11-20"), to: Date.parse("2026-11-23") };
  for await (const alerts of storedEpisodes(database).read(period))
    for (const alert of alerts)
      simulated.push({ app: alert.labels["app"] ?? "", fate: simulation.see(alert) });

  const states = rows.map(({ app, state }) => ({
    app,
    fate: state === "approval_pending" ? "asks for rollout_restart" : state,
  }));
  expect(simulated).toEqual(states);
  expect(new Set(states.map(({ fate }) => fate))).toEqual(
    new Set(["asks for rollout_restart", "skipped_max_unhealthy"]),
  );
});
