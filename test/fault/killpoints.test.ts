import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { ACTIVE_STATES } from "../../runbooks/types/run.ts";
import { fettle, waitUntil } from "../fakes/fettle.ts";
import { brokenInvariants } from "./invariants.ts";
import { givenWorld, type World } from "./world.ts";

/** From a kill -9 to the run going on. With the lease of 2 s here: 8.4 s at most (measured). */
const TAKEOVER_MAX_MS = 35_000;
const STEP_MAX_MS = 40_000;

/** Where the process is killed: every failpoint in runbooks/. */
const KILL_POINTS = [
  "received-before-commit",
  "received-after-commit",
  "inbox-claimed",
  "run-created",
  "after-matched",
  "after-collected",
  "answered-before-commit",
  "answered-after-commit",
  "after-approved",
  "before-cluster-call",
  "after-cluster-call",
  "after-intent",
  "after-verifying",
] as const;

/** Reached only by an action that goes pod by pod. */
const KILL_POINT_OF_EVICTIONS = "evicted-one";

/** Reached only by a run that ends while it waits for its answer. */
const KILL_POINT_WITHOUT_ANSWER = "after-approval_pending";

/** Reached only by a run whose runbook collects diagnostics: none does so far. */
const KILL_POINT_OF_COLLECTIONS = "after-collecting";

async function waitForState(world: World, state: string): Promise<void> {
  await waitUntil(
    `the run to be ${state}`,
    STEP_MAX_MS,
    async () => (await world.runState()) === state,
  );
}

/** The way of a remediation as those outside see it: they only repeat what was not answered. */
async function remediate(world: World): Promise<void> {
  await world.deliver("firing");
  await waitForState(world, "approval_pending");
  await world.approveOnPage();
  await waitUntil("the patch", STEP_MAX_MS, async () => world.kubernetes.mutations().length > 0);
  await world.deliver("resolved");
  await waitForState(world, "succeeded");
}

/** The alert and its end once more, as Alertmanager repeats them; nothing may come of it. */
async function repeatEverything(world: World): Promise<void> {
  await waitUntil("the service to be back", STEP_MAX_MS, async () => isUp(world));
  await world.deliver("firing");
  await world.deliver("resolved");
}

async function isUp({ service }: World): Promise<boolean> {
  return fetch(`${service.url}/ready`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function inWorld(
  failpoint: string | undefined,
  work: (world: World) => Promise<void>,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const world = await givenWorld(failpoint, more);
  try {
    await work(world);
  } finally {
    await world.stop();
  }
}

test.concurrent.each(KILL_POINTS)(
  "killed at %s, the service comes back, and the remediation has happened once",
  async (name) => {
    await inWorld(name, async (world) => {
      await remediate(world);
      const endedAt = Date.now();
      await repeatEverything(world);

      expect(world.service.deaths).toHaveLength(1);
      expect(endedAt - (world.service.deaths[0]?.getTime() ?? 0)).toBeLessThan(TAKEOVER_MAX_MS);
      expect(world.kubernetes.mutations()).toHaveLength(1);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  120_000,
);

test.concurrent(
  "killed between two evictions, only the pods that are left are evicted",
  async () => {
    const more = { RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=restart_pods" };
    await inWorld(
      `${KILL_POINT_OF_EVICTIONS}:2`,
      async (world) => {
        await world.deliver("firing");
        await waitForState(world, "approval_pending");
        await world.approveOnPage();
        await waitForState(world, "verifying");
        await world.deliver("resolved");
        await waitForState(world, "succeeded");

        expect(world.service.deaths).toHaveLength(1);
        expect(world.kubernetes.mutations()).toHaveLength(3);
        expect(await brokenInvariants(world)).toEqual([]);
      },
      more,
    );
  },
  120_000,
);

test.concurrent(
  "killed as the alert resolves before anybody answers, nothing is done, and the run has ended",
  async () => {
    await inWorld(KILL_POINT_WITHOUT_ANSWER, async (world) => {
      await world.deliver("firing");
      await waitForState(world, "approval_pending");
      await world.deliver("resolved");
      await waitForState(world, "resolved_before_action");
      await waitUntil("the death", STEP_MAX_MS, async () => world.service.deaths.length === 1);
      await repeatEverything(world);

      expect(world.kubernetes.mutations()).toEqual([]);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  120_000,
);

test.concurrent(
  "stopped and started at every stage, with an approval while nothing runs, it happens once as well",
  async () => {
    await inWorld(undefined, async (world) => {
      await world.deliver("firing");
      await world.service.restart();
      await waitForState(world, "approval_pending");
      await world.service.restart(async () => {
        const { rows } = await world.database.query<{ id: string }>("SELECT id FROM runs");
        const answered = await fettle(["approve", rows[0]?.id ?? "", "--as", "ana"], world.env);
        expect(answered).toMatchObject({ code: 0 });
      });
      await waitUntil(
        "the patch",
        STEP_MAX_MS,
        async () => world.kubernetes.mutations().length > 0,
      );
      await world.service.restart();
      await world.deliver("resolved");
      await world.service.restart();
      await waitForState(world, "succeeded");
      await repeatEverything(world);

      expect(world.service.deaths).toEqual([]);
      expect(world.kubernetes.mutations()).toHaveLength(1);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  120_000,
);

test("every failpoint in the code is killed at here", () => {
  const source = readdirSync("runbooks", { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(join("runbooks", path), "utf8"))
    .join("\n");
  const names = [...source.matchAll(/failpoint\(["`]([^"`]+)["`]\)/g)].flatMap(([, name = ""]) =>
    name === "after-${state}" ? ACTIVE_STATES.map((state) => `after-${state}`) : [name],
  );

  expect([...new Set(names)].sort()).toEqual(
    [
      ...KILL_POINTS,
      KILL_POINT_OF_EVICTIONS,
      KILL_POINT_WITHOUT_ANSWER,
      KILL_POINT_OF_COLLECTIONS,
    ].sort(),
  );
});
