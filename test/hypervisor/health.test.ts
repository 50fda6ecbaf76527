import { expect, test } from "@jest/globals";
import { healthOf } from "../../hypervisor/health.ts";
import { fakeClock } from "../fakes/clock.ts";

test("a thousand who ask within a second share one look at the database, and within five one at the others", async () => {
  const clock = fakeClock("2026-01-01T00:00:00Z");
  const looks = { database: 0, loki: 0 };
  let answers = true;
  const health = healthOf({
    needed: async () => {
      looks.database += 1;
      return Promise.resolve({ ready: answers, checks: { database: { ok: answers } } });
    },
    probes: { loki: async () => Promise.resolve(void (looks.loki += 1)) },
    clock,
  });

  await Promise.all(Array.from({ length: 1_000 }, health));
  expect(looks).toEqual({ database: 1, loki: 1 });

  answers = false;
  await clock.advance(1_000);
  expect(await health()).toEqual({
    ready: false,
    checks: { database: { ok: false }, loki: { ok: true } },
  });
  expect(looks).toEqual({ database: 2, loki: 1 });
});
