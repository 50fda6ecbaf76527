import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { ACTIVE_STATES } from "../../runbooks/types/run.ts";
import { fettle, waitUntil } from "../fakes/fettle.ts";
import { startSlack } from "../fakes/slack.ts";
import { brokenInvariants } from "./invariants.ts";
import { givenWorld, type World } from "./world.ts";

/** From a kill -9 to the next worker, with the real lease: 35 s; a busy machine gets more time to prove that it comes. */
const TAKEOVER_BUSY_MAX_MS = 60_000;

/** Where the process is killed: every failpoint in runbooks/. */
const KILL_POINTS = [
  "reading-body",
  "received-before-commit",
  "received-after-commit",
  "inbox-claimed",
  "run-created",
  "after-matched",
  "after-collecting",
  "decided",
  "after-collected",
  "answered-before-commit",
  "answered-after-commit",
  "after-approved",
  "before-cluster-call",
  "after-cluster-call",
  "after-intent",
  "verifying-look",
  "after-verifying",
] as const;

/** Reached only when it is told to end. */
const KILL_POINT_OF_THE_END = "draining";

/** Reached only where somebody is told. */
const KILL_POINT_OF_SLACK = "slack-posted";

/** Of `fettle migrate`: see crash/migration.test.ts. */
const KILL_POINT_OF_MIGRATIONS = "migrating";

/** Reached only by an action that goes pod by pod. */
const KILL_POINT_OF_EVICTIONS = "evicted-one";

/** Reached only by a run that ends while it waits for its answer. */
const KILL_POINT_WITHOUT_ANSWER = "after-approval_pending";

/** Reached only where the diagnostics have a store to go to. */
const KILL_POINT_OF_UPLOADS = "collect-uploading";

/** A takeover after a kill takes up to 35 s, and five of these services start at once. */
const PATIENCE_MS = 150_000;

async function waitForState(world: World, state: string): Promise<void> {
  const isSo = async () => (await world.runState()) === state;
  await waitUntil(`the run to be ${state}`, isSo, PATIENCE_MS);
}

/** The way of a remediation as those outside see it: they only repeat what was not answered. */
async function remediate(
  world: World,
  beforeTheEnd: () => Promise<void> = async () => Promise.resolve(),
): Promise<void> {
  await world.deliver("firing");
  await waitForState(world, "approval_pending");
  await world.approveOnPage();
  await waitUntil("the patch", async () => world.kubernetes.mutations().length > 0);
  await beforeTheEnd();
  await world.deliver("resolved");
  await waitForState(world, "succeeded");
}

/** The alert and its end once more, as Alertmanager repeats them; nothing may come of it. */
async function repeatEverything(world: World): Promise<void> {
  await waitUntil("the service to be back", async () => isUp(world));
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
      await remediate(world, async () => {
        // An alert that ends before the first look leaves nothing to look at twice.
        if (name === "verifying-look")
          await waitUntil("the death", async () => world.service.deaths.length === 1);
      });
      await repeatEverything(world);

      expect(world.service.deaths).toHaveLength(1);
      expect(world.kubernetes.mutations()).toHaveLength(1);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  240_000,
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
  240_000,
);

test.concurrent(
  "killed as the alert resolves before anybody answers, nothing is done, and the run has ended",
  async () => {
    await inWorld(KILL_POINT_WITHOUT_ANSWER, async (world) => {
      await world.deliver("firing");
      await waitForState(world, "approval_pending");
      await world.deliver("resolved");
      await waitForState(world, "resolved_before_action");
      await waitUntil("the death", async () => world.service.deaths.length === 1);
      await repeatEverything(world);

      expect(world.kubernetes.mutations()).toEqual([]);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  240_000,
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
      await waitUntil("the patch", async () => world.kubernetes.mutations().length > 0);
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
  240_000,
);

test.concurrent(
  "killed in its drain, what was under way goes on in the next process",
  async () => {
    await inWorld(KILL_POINT_OF_THE_END, async (world) => {
      await world.deliver("firing");
      await waitForState(world, "approval_pending");
      await world.approveOnPage();
      await waitForState(world, "verifying");
      await world.service.process()?.stop();
      await waitUntil("the next process", async () => isUp(world));
      await world.deliver("resolved");
      await waitForState(world, "succeeded");

      expect(world.service.deaths).toHaveLength(1);
      expect(world.kubernetes.mutations()).toHaveLength(1);
      expect(await brokenInvariants(world)).toEqual([]);
    });
  },
  240_000,
);

test.concurrent(
  "killed between Slack's message and the note of it, there is one message",
  async () => {
    const slack = await startSlack();
    const more = {
      SLACK_BOT_TOKEN: slack.token,
      SLACK_CHANNEL: "C0FETTLE",
      SLACK_API_URL: slack.apiUrl,
      RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
    };
    await inWorld(
      KILL_POINT_OF_SLACK,
      async (world) => {
        await world.deliver("firing");
        await waitForState(world, "approval_pending");
        await waitUntil("the death", async () => world.service.deaths.length === 1);
        await waitUntil("the next process", async () => isUp(world));
        await world.approveOnPage();
        await waitForState(world, "verifying");
        await world.deliver("resolved");
        await waitForState(world, "succeeded");
        await waitUntil("all to be told", async () => isAllTold(world));

        expect(slack.messages.filter(({ thread_ts: thread }) => thread === undefined)).toEqual([
          expect.objectContaining({ text: expect.stringContaining("Helped") }),
        ]);
        const approvals = await world.database.query("SELECT 1 FROM approvals");
        expect(approvals.rowCount).toBe(1);
        expect(await brokenInvariants({ ...world, slack })).toEqual([]);
      },
      more,
    );
    await slack.stop();
  },
  240_000,
);

/** But for the reminder, whose time is not here. */
async function isAllTold({ database }: World): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT 1 FROM runbooks_notices WHERE fanned_out_at IS NULL
     UNION ALL SELECT 1 FROM runbooks_outbox WHERE result IS NULL AND next_at <= now()`,
  );
  return rowCount === 0;
}

test.concurrent(
  "with the real lease a killed worker's run is taken over within 35 s",
  async () => {
    await inWorld(
      "before-cluster-call",
      async (world) => {
        await world.deliver("firing");
        await waitForState(world, "approval_pending");
        await world.approveOnPage();
        await waitUntil(
          "the patch",
          async () => {
            return world.kubernetes.mutations().length > 0;
          },
          TAKEOVER_BUSY_MAX_MS,
        );
        const patchedAt = new Date(world.kubernetes.mutations()[0]?.at ?? 0).getTime();
        const seconds = (patchedAt - (world.service.deaths[0]?.getTime() ?? 0)) / 1000;
        process.stderr.write(`taken over ${seconds.toFixed(1)} s after the kill\n`);

        expect(seconds * 1000).toBeLessThan(TAKEOVER_BUSY_MAX_MS);
        await world.deliver("resolved");
        await waitForState(world, "succeeded");
        expect(await brokenInvariants(world)).toEqual([]);
      },
      { RUNBOOK_LEASE_SECONDS: "30" },
    );
  },
  240_000,
);

test.concurrent(
  "killed in the middle of an upload, the diagnostics are stored once, at the same place",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "fettle-upload-"));
    await inWorld(
      KILL_POINT_OF_UPLOADS,
      async (world) => {
        await remediate(world);
        await waitUntil("the upload", async () => {
          const { rowCount } = await world.database.query(
            "SELECT 1 FROM collections WHERE state = 'uploaded'",
          );
          return rowCount === 1;
        });

        expect(world.service.deaths).toHaveLength(1);
        const files = readdirSync(folder, { recursive: true, withFileTypes: true });
        expect(files.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual([
          "diagnostics.tar.gz",
          "index.json",
        ]);
        expect(await brokenInvariants(world)).toEqual([]);
      },
      { COLLECTOR_DIR: folder },
    ).finally(async () => rm(folder, { recursive: true }));
  },
  240_000,
);

test("every failpoint in the code is killed at here", () => {
  const source = ["runbooks", "lib"]
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
    )
    .filter((path) => path.endsWith(".ts") && path !== "lib/failpoint.ts")
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const names = [...source.matchAll(/failpoint\(["`]([^"`]+)["`]\)/g)].flatMap(([, name = ""]) =>
    name === "after-${state}" ? ACTIVE_STATES.map((state) => `after-${state}`) : [name],
  );

  expect([...new Set(names)].sort()).toEqual(
    [
      ...KILL_POINTS,
      KILL_POINT_OF_EVICTIONS,
      KILL_POINT_WITHOUT_ANSWER,
      KILL_POINT_OF_THE_END,
      KILL_POINT_OF_SLACK,
      KILL_POINT_OF_MIGRATIONS,
      KILL_POINT_OF_UPLOADS,
    ].sort(),
  );
});
