import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Effect } from "../../runbooks/actions/types.ts";
import type { Cluster } from "../../runbooks/types/cluster.ts";
import type { Plan } from "../../runbooks/types/plan.ts";
import { waitUntil } from "../fakes/fettle.ts";
import {
  effectsOf,
  expectNoDeletes,
  givenCluster,
  NAMESPACE,
  planned,
  prepare,
  target,
  WEB,
  worker,
  type GivenCluster,
  type Worker,
} from "./given.ts";

let given: GivenCluster;
let cluster: Cluster;
beforeEach(async () => {
  given = await givenCluster();
  ({ cluster } = given);
});
afterEach(async () => {
  expectNoDeletes(given.kubernetes);
  await given.stop();
});

function budget(name: string, minAvailable: number): void {
  given.kubernetes.put("poddisruptionbudgets", {
    metadata: { name, namespace: NAMESPACE },
    spec: { minAvailable, selector: { matchLabels: { app: "web" } } },
  });
}

async function namesOf(of = WEB): Promise<readonly string[]> {
  return (await cluster.pods(of)).map(({ name }) => name);
}

/** Looks again and again, as the sweep does, until it is not "not now" any more. */
async function applyUntilDone(plan: Plan, run: Worker): Promise<Effect> {
  let effect = await run.apply(plan, cluster);
  await waitUntil("the evictions", async () => {
    if (effect.kind === "wait") effect = await run.apply(plan, cluster);
    return effect.kind !== "wait";
  });
  return effect;
}

test("evicts each planned pod once, one at a time, and waits for its successor in between", async () => {
  const before = await namesOf();
  const plan = await planned("restart_pods", cluster);
  const run = worker();

  const first = await run.apply(plan, cluster);
  expect(first).toMatchObject({ kind: "wait" });
  expect(effectsOf(given.kubernetes)).toHaveLength(1);
  const last = await applyUntilDone(plan, run);

  expect(last).toEqual({ kind: "done", already: false });
  expect(effectsOf(given.kubernetes)).toEqual(
    before.map((name) => `POST /api/v1/namespaces/shop/pods/${name}/eviction`),
  );
  for (const { body } of given.kubernetes.mutations())
    expect(body).toMatchObject({ deleteOptions: { preconditions: { uid: expect.any(String) } } });
  expect(run.records).toContainEqual({ evicted: before[0], of: 3 });
});

test("takes the pods that the alerts name, else those that are not ready, and no more than max", async () => {
  const [first = "", second = "", third = ""] = await namesOf();
  given.kubernetes.setPodReady(NAMESPACE, second, false);
  const podsOf = async (ask: Parameters<typeof planned>[2]) =>
    (await planned("restart_pods", cluster, ask)).effect;

  expect(await podsOf({ alertPods: [third, "stranger"] })).toMatchObject({
    pods: [{ name: third }],
  });
  expect(await podsOf({})).toMatchObject({ pods: [{ name: second }] });
  given.kubernetes.setPodReady(NAMESPACE, second, true);
  expect(await podsOf({ options: { max: 1 } })).toMatchObject({ pods: [{ name: first }] });
});

test("a second look after a crash evicts only what is left, and never the pod that took the name", async () => {
  const DB = target("statefulset", "db");
  const plan = await planned("restart_pods", cluster, { of: DB, options: { batch: 3 } });
  const run = worker();
  await run.apply(plan, cluster);
  await waitUntil("new pods of the old names", async () => {
    return (await namesOf(DB)).length === 3;
  });
  run.progress = {}; // the worker died before it wrote anything down

  expect(await run.apply(plan, cluster)).toEqual({ kind: "done", already: true });

  expect(given.kubernetes.mutations()).toHaveLength(3);
  expect(await namesOf(DB)).toEqual(["db-0", "db-1", "db-2"]);
});

test("an answer that is lost does not make it two evictions", async () => {
  const plan = await planned("restart_pods", cluster, { options: { max: 1 } });
  const run = worker();
  given.kubernetes.failNext({ method: "POST", closeAfterEffect: true });

  await expect(run.apply(plan, cluster)).rejects.toMatchObject({ retryable: true });
  const effect = await run.apply(plan, cluster);

  expect(effect).toEqual({ kind: "done", already: true });
  expect(given.kubernetes.mutations()).toHaveLength(1);
});

test("a disruption budget is waited for, five minutes at most, and then it is pdb_blocked", async () => {
  const plan = await planned("restart_pods", cluster);
  budget("web", 3);
  const run = worker();

  expect(await run.apply(plan, cluster)).toMatchObject({ kind: "wait" });
  run.seconds = 299;
  expect(await run.apply(plan, cluster)).toMatchObject({ kind: "wait" });
  run.seconds = 301;
  expect(await run.apply(plan, cluster)).toMatchObject({
    kind: "refused",
    reason: "pdb_blocked",
    why: expect.stringContaining("0 pods were evicted"),
  });

  expect(effectsOf(given.kubernetes)).toEqual([]);
  expect(run.records).toHaveLength(1); // one row for the record, not one per look
});

test("a budget that lets go again lets the rest through", async () => {
  const plan = await planned("restart_pods", cluster, { options: { batch: 3 } });
  budget("web", 2);
  const run = worker();
  given.kubernetes.setReadyAfterMs(3_000); // the first successor is surely not ready at the second eviction

  expect(await run.apply(plan, cluster)).toMatchObject({ kind: "wait" });
  expect(given.kubernetes.mutations()).toHaveLength(1);
  given.kubernetes.setReadyAfterMs(20);

  expect(await applyUntilDone(plan, run)).toMatchObject({ kind: "done" });
  expect(given.kubernetes.mutations()).toHaveLength(3);
});

test("too many requests are waited for as long as the server asks", async () => {
  const plan = await planned("restart_pods", cluster);
  given.kubernetes.failNext({ method: "POST", status: 429, retryAfterSeconds: 7 });

  expect(await worker().apply(plan, cluster)).toMatchObject({ kind: "wait", seconds: 7 });
});

test("two budgets over one pod are found before anybody is asked, and refused if they come later", async () => {
  const plan = await planned("restart_pods", cluster);
  budget("a", 1);
  budget("b", 1);

  expect(await prepare("restart_pods", cluster)).toMatchObject({
    preflight: expect.arrayContaining([
      { severity: "stop", about: "pdb", text: expect.stringContaining("(a, b)") },
    ]),
  });
  await expect(worker().apply(plan, cluster)).rejects.toMatchObject({
    reason: "pdb-misconfigured",
    retryable: false,
  });
});

test("stops between pods when it is told to, and says that a part is done", async () => {
  const plan = await planned("restart_pods", cluster, { options: { batch: 3 } });
  const run = worker();
  const answers = [undefined, "ana switched shop off"];
  run.stopReason = () => answers.shift();

  expect(await run.apply(plan, cluster)).toEqual({
    kind: "stopped",
    why: "ana switched shop off",
    partial: true,
  });

  expect(given.kubernetes.mutations()).toHaveLength(1);
});

test("does not go on while a successor is not ready, and gives up after five minutes", async () => {
  const plan = await planned("restart_pods", cluster);
  given.kubernetes.setReadyAfterMs(Infinity);
  const run = worker();

  await run.apply(plan, cluster);
  expect(await run.apply(plan, cluster)).toMatchObject({
    kind: "wait",
    why: "1 pods are not replaced yet",
  });
  run.seconds = 301;

  expect(await run.apply(plan, cluster)).toMatchObject({
    kind: "refused",
    reason: "not_ready",
    why: expect.stringContaining("1 pods were evicted"),
  });
  expect(given.kubernetes.mutations()).toHaveLength(1);
});

test("in a dry run the server is asked about every pod, and nothing changes", async () => {
  const plan = await planned("restart_pods", cluster, { dryRun: true });

  expect(await worker().apply(plan, cluster)).toEqual({ kind: "checked" });

  expect(given.kubernetes.mutations()).toEqual([]);
  expect(given.kubernetes.requests.filter(({ method }) => method === "POST")).toHaveLength(4);
});

test("a workload that was made anew is another one", async () => {
  const plan = await planned("restart_pods", cluster);

  expect(await worker().apply({ ...plan, uid: "another" }, cluster)).toEqual({
    kind: "stale",
    why: "the Deployment was made anew",
  });
});

test("has settled when the old pods are gone and the new ones are ready", async () => {
  const { restartPods } = await import("../../runbooks/actions/restart-pods.ts");
  const plan = await planned("restart_pods", cluster, { options: { batch: 3 } });
  expect(await restartPods.settled(plan, cluster)).toBe(false);

  await worker().apply(plan, cluster);

  await waitUntil("three new pods", async () => Boolean(await restartPods.settled(plan, cluster)));
});
