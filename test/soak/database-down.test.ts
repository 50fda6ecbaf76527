import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenOutageWorld, outage, type OutageWorld } from "../fault/outage.ts";

let world: OutageWorld;
beforeAll(async () => {
  world = await givenOutageWorld();
});
afterAll(async () => world.stop());

test("Postgres stopped for a minute while three senders tell 200 alerts a second: each alert exists once", async () => {
  let ended = false;
  void world.service.exited.then(() => (ended = true));

  await outage(world, "minute", 60_000);

  expect(ended).toBe(false);
}, 300_000);
