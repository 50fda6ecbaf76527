import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Cluster } from "../../runbooks/types/cluster.ts";
import { waitUntil } from "../fakes/fettle.ts";
import {
  actionNamed,
  effectsOf,
  expectNoDeletes,
  givenCluster,
  NAMESPACE,
  planned,
  prepare,
  READ_ONLY_TOKEN,
  target,
  WEB,
  worker,
  type GivenCluster,
} from "./given.ts";

const SCALE_PATH = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
const RAISE = { hpa: "raise-min" } as const;

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

function autoscaler(minReplicas = 2, maxReplicas = 6): void {
  given.kubernetes.put("horizontalpodautoscalers", {
    metadata: { name: "web-hpa", namespace: NAMESPACE },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      minReplicas,
      maxReplicas,
    },
  });
}

describe("the plan", () => {
  test.each([
    ["scale_up", undefined, {}, 4],
    ["scale_up", "+2", {}, 5],
    ["scale_up", "+9", { max: 6 }, 6],
    ["scale_down", "-1", {}, 2],
    ["scale_down", "-9", {}, 1],
    ["scale_down", "-9", { min: 0 }, 0],
  ] as const)(
    "of %s %s within %j holds the absolute number",
    async (name, argument, options, to) => {
      const ask = { options, ...(argument === undefined ? {} : { argument }) };

      const { effect } = await planned(name, cluster, ask);

      expect(effect).toEqual({ kind: "scale", from: 3, to });
    },
  );

  test.each([
    ["scale_up", { max: 3 }, "Deployment shop/web has 3 pods, and at most 3 are allowed"],
    ["scale_up", { max: 2 }, "Deployment shop/web has 3 pods, and at most 2 are allowed"],
    ["scale_down", { min: 3 }, "Deployment shop/web has 3 pods, and at least 3 are allowed"],
    ["scale_down", { min: 5 }, "Deployment shop/web has 3 pods, and at least 5 are allowed"],
  ] as const)("of %s within %j is none: there is nothing to do", async (name, options, why) => {
    expect(await prepare(name, cluster, { options })).toEqual({ kind: "refused", why });
  });

  test("says how to take it back, and how much it touches", async () => {
    expect(await prepare("scale_up", cluster, { argument: "+2" })).toMatchObject({
      rollback: "To take it back: kubectl -n shop scale deployment/web --replicas=3",
      blast: { affected: 2, of: 3 },
      plan: { summary: "Scale shop/web from 3 to 5 pods" },
    });
  });

  test.each([
    ["scale_up", "+0"],
    ["scale_up", "-1"],
    ["scale_up", "+101"],
    ["scale_up", "50%"],
    ["scale_down", "+1"],
    ["scale_down", "all"],
  ] as const)("is refused when the policy says %s:%s", (name, text) => {
    expect(actionNamed(name).readArgument(text)).toMatchObject({
      problem: expect.stringContaining(`got ${JSON.stringify(text)}`),
    });
  });
});

describe("doing it", () => {
  test("scales once, and a second call finds it done", async () => {
    const plan = await planned("scale_up", cluster, { argument: "+2" });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: false });
    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: true });

    expect(effectsOf(given.kubernetes)).toEqual([`PATCH ${SCALE_PATH}`]);
    await waitUntil("five pods", async () =>
      Boolean(await actionNamed("scale_up").settled(plan, cluster)),
    );
    expect(await cluster.pods(WEB)).toHaveLength(5);
  });

  test("a StatefulSet scales too", async () => {
    const plan = await planned("scale_up", cluster, { of: target("statefulset", "db") });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: false });
  });

  test("does nothing when somebody else has changed the number", async () => {
    const plan = await planned("scale_up", cluster);
    const { resourceVersion = "" } = (await cluster.workload(WEB)) ?? {};
    await cluster.scale(WEB, { resourceVersion, replicas: 7, dryRun: false });

    expect(await worker().apply(plan, cluster)).toEqual({
      kind: "stale",
      why: "the Deployment changed: 7 pods now, 3 when the plan was made",
    });
  });

  test("a conflict is read again, and it is one effect", async () => {
    const plan = await planned("scale_up", cluster);
    given.kubernetes.failNext({ method: "PATCH", path: SCALE_PATH, status: 409, times: 2 });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: false });

    expect(given.kubernetes.mutations()).toHaveLength(1);
  });

  test("an object that never stops changing is left alone", async () => {
    const plan = await planned("scale_up", cluster);
    given.kubernetes.failNext({ method: "PATCH", path: SCALE_PATH, status: 409, times: 5 });

    expect(await worker().apply(plan, cluster)).toMatchObject({ kind: "stale" });

    expect(given.kubernetes.mutations()).toEqual([]);
  });

  test("an answer that was lost is looked up: one effect", async () => {
    const plan = await planned("scale_up", cluster);
    given.kubernetes.failNext({ method: "PATCH", path: SCALE_PATH, closeAfterEffect: true });

    await expect(worker().apply(plan, cluster)).rejects.toMatchObject({ retryable: true });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: true });
    expect(given.kubernetes.mutations()).toHaveLength(1);
  });

  test("stops before the write when it is told to", async () => {
    const plan = await planned("scale_up", cluster);
    const run = worker();
    run.stopReason = () => "ana switched shop off";

    expect(await run.apply(plan, cluster)).toMatchObject({ kind: "stopped", partial: false });

    expect(given.kubernetes.mutations()).toEqual([]);
  });

  test("a dry run is checked by the server and changes nothing", async () => {
    const plan = await planned("scale_up", cluster, { dryRun: true });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "checked" });

    expect(given.kubernetes.mutations()).toEqual([]);
  });
});

describe("an autoscaler", () => {
  test("owns the number: both ways are refused", async () => {
    autoscaler();

    expect(await prepare("scale_up", cluster)).toEqual({
      kind: "refused",
      why: "the autoscaler web-hpa decides how many pods Deployment shop/web has (hpa=raise-min in the policy raises its minimum instead)",
    });
    expect(await prepare("scale_down", cluster, { options: RAISE })).toMatchObject({
      kind: "refused",
    });
  });

  test("gets a higher minimum where the policy says so, once", async () => {
    autoscaler();
    const plan = await planned("scale_up", cluster, { argument: "+2", options: RAISE });
    expect(plan.effect).toMatchObject({
      to: 5,
      hpa: { name: "web-hpa", minFrom: 2, minTo: 5 },
    });

    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: false });
    expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: true });

    expect(effectsOf(given.kubernetes)).toEqual([
      "PATCH /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web-hpa",
    ]);
    expect(await cluster.autoscaler(WEB)).toMatchObject({ min: 5, max: 6 });
  });

  test("is never pushed past its own maximum", async () => {
    autoscaler(2, 3);

    expect(await prepare("scale_up", cluster, { options: RAISE })).toMatchObject({
      kind: "refused",
      why: "Deployment shop/web has 3 pods, and at most 3 are allowed",
    });
  });

  test("that came after the plan makes it stale", async () => {
    const plan = await planned("scale_up", cluster);
    autoscaler();

    expect(await worker().apply(plan, cluster)).toEqual({
      kind: "stale",
      why: "another autoscaler owns the Deployment now",
    });
  });

  test("that may not be looked for might be there: refused", async () => {
    given.kubernetes.failNext({ path: /horizontalpodautoscalers$/, status: 403 });

    expect(await prepare("scale_up", cluster)).toMatchObject({
      kind: "refused",
      why: expect.stringContaining("whether an autoscaler owns it is not known"),
    });
  });
});

describe("what is found out before anybody is asked", () => {
  test("a quota without room for the new pods stops", async () => {
    given.kubernetes.put("resourcequotas", {
      metadata: { name: "small", namespace: NAMESPACE },
      spec: { hard: { pods: "10" } },
      status: { hard: { pods: "10" }, used: { pods: "9" } },
    });

    expect(await prepare("scale_up", cluster, { argument: "+2" })).toMatchObject({
      preflight: expect.arrayContaining([
        {
          severity: "stop",
          about: "quota",
          text: "quota small has room for 1 more pods (9 of 10), not for 2",
        },
      ]),
    });
    expect(await planned("scale_up", cluster)).toMatchObject({ effect: { to: 4 } });
  });

  test("a missing right stops, and the missing verb is named", async () => {
    const viewer = await given.as(READ_ONLY_TOKEN);

    expect(await prepare("scale_up", viewer)).toMatchObject({
      preflight: expect.arrayContaining([
        {
          severity: "stop",
          about: "dry-run",
          text: expect.stringContaining('cannot patch resource "deployments/scale"'),
        },
      ]),
    });
  });
});
