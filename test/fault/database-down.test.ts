import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { attemptDelivery, deliverUntilAccepted } from "../fakes/alertmanager-sender.ts";
import { CANARIES } from "./canaries.ts";
import {
  expectNothingLost,
  givenOutageWorld,
  outage,
  startSenders,
  type OutageWorld,
} from "./outage.ts";

/** `make soak` has the whole minute. */
const OUTAGE_MS = 12_000;
const FREEZE_MS = 7_000; // longer than the answer may take

let world: OutageWorld;
beforeAll(async () => {
  world = await givenOutageWorld();
});
afterAll(async () => world.stop());

let ended: boolean;
beforeEach(() => {
  ended = false;
  void world.service.exited.then(() => (ended = true));
});

test("Postgres stopped while three senders tell 200 alerts a second: 503s, the process lives, each alert exists once", async () => {
  await outage(world, "stopped", OUTAGE_MS);

  expect(ended).toBe(false);
});

test("Postgres frozen: each request is answered with 503 within 5 s, and the pool recovers", async () => {
  const { postgres, service } = world;
  const senders = startSenders(service, "frozen");
  await sleep(1_000);
  postgres.freeze();
  await sleep(FREEZE_MS);
  postgres.thaw();
  const recoveredAt = performance.now();
  await sleep(1_000);
  const alerts = await senders.finish();

  await expectNothingLost(world, {
    name: "frozen",
    alerts,
    attempts: senders.attempts,
    recoveredAt,
  });
  expect(ended).toBe(false);
});

test("what was accepted in the last instant before a crash of Postgres is there afterwards", async () => {
  const { postgres, service, database } = world;
  const accepted: string[] = [];
  for (const app of ["crash-0", "crash-1", "crash-2"]) {
    const labels = { alertname: "AIOpsAnomalyDetected", namespace: "shop", app };
    const alert = { status: "firing", labels, annotations: {}, startsAt: "2026-11-21T03:00:00Z" };
    const frame = { version: "4", receiver: "fettle", status: "firing", alerts: [alert] };
    const sent = await deliverUntilAccepted(async () =>
      attemptDelivery(`${service.url}/alertmanager`, JSON.stringify(frame), {
        authorization: `Bearer ${CANARIES.token}`,
      }),
    );
    await postgres.stop("immediate");
    accepted.push((JSON.parse(sent.at(-1)?.answer ?? "{}") as { id: string }).id);
    await postgres.start();
  }

  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM inbox WHERE id = ANY ($1) ORDER BY inbox.id",
    [accepted],
  );
  expect(rows.map(({ id }) => id)).toEqual(accepted);
});
