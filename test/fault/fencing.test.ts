import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { brokenInvariants } from "./invariants.ts";
import { givenSurroundings, type Surroundings } from "./surroundings.ts";

let around: Surroundings;
const processes: FettleProcess[] = [];
beforeEach(async () => {
  around = await givenSurroundings();
});
afterEach(async () => {
  for (const each of processes.splice(0)) await each.stop();
  await around.stop();
});

async function start(more: Readonly<Record<string, string>> = {}): Promise<FettleProcess> {
  const started = await startFettle("runbooks", "RUNBOOKS_PORT", { ...around.env, ...more });
  processes.push(started);
  return started;
}

async function isIn(...states: readonly string[]): Promise<void> {
  await waitUntil(states.join(" or "), async () => states.includes((await around.stateOf()) ?? ""));
}

test.each(["before-cluster-call", "after-cluster-call"])(
  "a worker that sleeps at %s while another one does its work wakes up, and has no effect",
  async (name) => {
    const sleeper = await start({ FETTLE_FAILPOINT: `${name}:pause` });
    await around.deliver(sleeper.url, "firing");
    await isIn("approval_pending");
    await around.approve(sleeper.url);
    await waitUntil("the point", async () => sleeper.output().includes(`failpoint ${name}`));
    process.kill(sleeper.pid, "SIGSTOP");
    try {
      const other = await start();
      await isIn("verifying");
      await around.deliver(other.url, "resolved");
      await isIn("succeeded");
    } finally {
      process.kill(sleeper.pid, "SIGCONT");
    }
    await waitUntil("the sleeper to see that it is late", async () =>
      /taken over by another worker|another worker has the run/.test(sleeper.output()),
    );

    expect(around.kubernetes.mutations()).toHaveLength(1);
    const { rows } = await around.database.query(
      "SELECT count(*)::int AS executed FROM runbooks_audit WHERE event = 'executed'",
    );
    expect(rows).toEqual([{ executed: 1 }]);
    expect(await around.stateOf()).toBe("succeeded");
    const output = () => processes.map((each) => each.output()).join("");
    expect(await brokenInvariants({ ...around, output })).toEqual([]);
  },
  150_000,
);
