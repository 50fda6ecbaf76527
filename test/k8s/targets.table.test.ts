import { expect, test } from "@jest/globals";
import type { Workload } from "../../runbooks/types/cluster.ts";
import type { ActionName } from "../../runbooks/types/policy.ts";
import type { Target } from "../../runbooks/types/target.ts";
import { fakeCluster, type FakeCluster } from "../fakes/cluster.ts";
import { prepare, target, type Ask } from "./given.ts";

interface Row {
  readonly of?: Target;
  readonly workload?: Partial<Workload>;
  readonly ask?: Ask;
  readonly change?: (cluster: FakeCluster) => void;
  /** Why nobody is asked; undefined: people are asked. */
  readonly skipped?: RegExp;
  /** What they are told beside it. */
  readonly told?: RegExp;
}

const AUTOSCALER = { name: "web-hpa", resourceVersion: "1", min: 2, max: 6 };
const gone = (cluster: FakeCluster) => {
  cluster.remove();
};
const noPods = (cluster: FakeCluster) => {
  cluster.world.pods = [];
};
const autoscaled = (cluster: FakeCluster) => {
  cluster.world.autoscaler = AUTOSCALER;
};
const blocked = (cluster: FakeCluster) => {
  cluster.world.budgets = [{ name: "web", allowed: 0 }];
};
const rolling = { updatedReplicas: 1 };
const onePod = { replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
const DB = target("statefulset", "db");
const AGENT = target("daemonset", "agent");
const ARGO = { managedBy: "Argo CD" };

/** One row for each thing that a target can be, and each action that would meet it. */
const ROWS: readonly (readonly [what: string, action: ActionName, row: Row])[] = [
  ["deleted", "rollout_restart", { change: gone, skipped: /^there is no Deployment shop\/web$/ }],
  ["deleted", "restart_pods", { change: gone, skipped: /^there is no Deployment shop\/web$/ }],
  ["deleted", "scale_up", { change: gone, skipped: /^there is no Deployment shop\/web$/ }],
  ["scaled to 0", "rollout_restart", { workload: { replicas: 0 }, skipped: /scaled to 0/ }],
  ["scaled to 0", "restart_pods", { workload: { replicas: 0 }, skipped: /scaled to 0/ }],
  ["scaled to 0", "scale_up", { workload: { replicas: 0 }, skipped: /scaled to 0/ }],
  ["paused", "rollout_restart", { workload: { paused: true }, skipped: /is paused/ }],
  ["paused", "restart_pods", { workload: { paused: true } }],
  ["in a rollout", "rollout_restart", { workload: rolling, skipped: /under way \(1 of 3/ }],
  ["in a rollout", "restart_pods", { workload: rolling, skipped: /under way \(1 of 3/ }],
  ["in a rollout", "scale_up", { workload: rolling, told: /under way/ }],
  ["HPA-owned", "scale_up", { change: autoscaled, skipped: /autoscaler web-hpa decides/ }],
  ["HPA-owned", "scale_down", { change: autoscaled, skipped: /autoscaler web-hpa decides/ }],
  ["HPA-owned", "rollout_restart", { change: autoscaled }],
  ["Argo CD's", "scale_up", { workload: ARGO, told: /Argo CD owns it, and may undo the change/ }],
  ["without pods", "restart_pods", { change: noPods, skipped: /has no pods/ }],
  ["blocked by a budget", "restart_pods", { change: blocked, told: /web lets 0 pods go now/ }],
  ["a StatefulSet of one", "restart_pods", { of: DB, workload: onePod, told: /the only pod/ }],
  ["a StatefulSet of one", "scale_down", { of: DB, workload: onePod, skipped: /at least 1/ }],
  ["a DaemonSet", "rollout_restart", { of: AGENT }],
  [
    "a DaemonSet without nodes",
    "restart_pods",
    { of: AGENT, workload: { replicas: 0 }, skipped: /on no node/ },
  ],
  [
    "a Job's pod, or a bare one, which is none of the target's",
    "restart_pods",
    {
      ask: { alertPods: ["job-x1"] },
      skipped: /that the alerts name are gone, and all others are ready/,
    },
  ],
];

test.each(ROWS)("%s: %s", async (_what, action, row) => {
  const cluster = fakeCluster(row.workload);
  row.change?.(cluster);

  const prepared = await prepare(action, cluster, {
    ...row.ask,
    ...(row.of === undefined ? {} : { of: row.of }),
  });

  const findings = prepared.kind === "plan" ? prepared.preflight : [];
  const stops = findings.filter(({ severity }) => severity === "stop").map(({ text }) => text);
  const why = prepared.kind === "refused" ? prepared.why : stops[0];
  expect(why ?? "people are asked").toMatch(row.skipped ?? /^people are asked$/);
  expect(findings.map(({ text }) => text).join("\n")).toMatch(row.told ?? /^/);
  expect([...cluster.effects, ...cluster.scales.filter(({ dryRun }) => !dryRun)]).toEqual([]);
  expect(cluster.evictions.filter(({ dryRun }) => !dryRun)).toEqual([]);
});

test("without alerts that name pods, all are restarted; with ones that are gone, only the sick are", async () => {
  const cluster = fakeCluster();
  const [first, second, third] = cluster.world.pods;
  const podsOf = async (alertPods: readonly string[]) => {
    const prepared = await prepare("restart_pods", cluster, { alertPods });
    return prepared.kind === "plan" && prepared.plan.effect.kind === "evict"
      ? prepared.plan.effect.pods.map(({ name }) => name)
      : prepared;
  };

  expect(await podsOf([])).toEqual([first?.name, second?.name, third?.name]);
  if (second !== undefined) cluster.world.pods[1] = { ...second, ready: false };
  expect(await podsOf(["gone-1"])).toEqual([second?.name]);
});
