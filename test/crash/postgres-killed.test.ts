import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { startFettle, waitUntil } from "../fakes/fettle.ts";
import { brokenInvariants } from "../fault/invariants.ts";
import { givenSurroundings, type Surroundings } from "../fault/surroundings.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";

/** Where the service stands for three seconds while the database is gone; each with an app of its own. */
const POINTS = [
  "received-before-commit",
  "received-after-commit",
  "before-cluster-call",
  "after-cluster-call",
] as const;

let postgres: PrivatePostgres;
let around: Surroundings;
beforeAll(async () => {
  postgres = await startPrivatePostgres();
  await migrate(postgres.url, silentLog);
  around = await givenSurroundings({ apps: [...POINTS], databaseUrl: postgres.url });
});
afterAll(async () => {
  await around.stop();
  await postgres.remove();
});

test.each(POINTS)(
  "Postgres killed while the service is at %s: it comes back, and the remediation has happened once",
  async (name) => {
    const service = await startFettle("runbooks", "RUNBOOKS_PORT", {
      ...around.env,
      FETTLE_FAILPOINT: `${name}:pause`,
    });
    const isIn = async (state: string) =>
      waitUntil(state, async () =>
        around.stateOf(name).then(
          (now) => now === state,
          () => false, // the database is on its way back
        ),
      );
    const restarts = () =>
      around.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${name}`));
    try {
      const killed = (async () => {
        await waitUntil("the point", async () => service.output().includes(`failpoint ${name}`));
        await postgres.stop("immediate");
        await postgres.start();
      })();
      await around.deliver(service.url, "firing", name);
      await isIn("approval_pending");
      expect(await around.approve(service.url, name)).toBe(200);
      await isIn("verifying");
      await killed;
      await around.deliver(service.url, "resolved", name);
      await isIn("succeeded");

      expect(restarts()).toHaveLength(1);
      const { rows } = await around.database.query(
        "SELECT count(*)::int AS stored, max(deliveries) AS deliveries FROM inbox WHERE content->>'status' = 'firing' AND content::text LIKE $1",
        [`%"fp-${name}"%`],
      );
      // Whoever heard nothing has sent it again; what was rolled back does not count.
      expect(rows).toEqual([{ stored: 1, deliveries: 1 }]);
      expect(await brokenInvariants({ ...around, output: service.output })).toEqual([]);
    } finally {
      await service.stop();
    }
  },
  150_000,
);
