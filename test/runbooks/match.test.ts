import { expect, test } from "@jest/globals";
import { parseCatalog } from "../../runbooks/catalog/load.ts";
import { matchRunbook, targetOf } from "../../runbooks/match.ts";
import type { Target } from "../../runbooks/types/target.ts";

const catalog = parseCatalog(
  `runbooks:
  - { id: crashloop, title: t, match: { labels: { alertname: KubePodCrashLooping } }, trigger: crashloop }
  - { id: drop, title: t, match: { metric: success_rate, reason: drop_to_zero } }
  - { id: anomaly, title: t, match: { labels: { alertname: AIOpsAnomalyDetected } } }
`,
  "runbooks.yaml",
);

test.each<[Record<string, string>, string | undefined]>([
  [{ alertname: "KubePodCrashLooping" }, "crashloop"],
  [{ alertname: "AIOpsAnomalyDetected", metric: "success_rate", reason: "drop_to_zero" }, "drop"],
  [{ alertname: "AIOpsAnomalyDetected", metric: "success_rate", reason: "level_shift" }, "anomaly"],
  [{ alertname: "constructor" }, undefined],
  [{}, undefined],
])("%j is for the runbook %s", (labels, id) => {
  expect(matchRunbook(catalog, { labels })?.id).toBe(id);
});

function target(labels: Record<string, string>, cluster = "default") {
  return targetOf({ labels }, cluster);
}

test("the target is the deployment, else the app, of the alert's namespace, in the one cluster that is reached", () => {
  expect(target({ namespace: "shop", app: "checkout", cluster: "eu-1" }, "eu-1")).toMatchObject({
    target: { cluster: "eu-1", namespace: "shop", name: "checkout" },
  });
  expect(target({ namespace: "shop", app: "a", deployment: "b" })).toMatchObject({
    target: { cluster: "default", name: "b" },
  });
});

test.each<[Record<string, string>, string]>([
  [{ deployment: "b", app: "a", pod: "c-0" }, "deployment/b of a"],
  [{ statefulset: "db" }, "statefulset/db of db"],
  [{ daemonset: "fluentd", app: "logs" }, "daemonset/fluentd of logs"],
  [{ deployment: "api.v2" }, "deployment/api.v2 of api.v2"],
  [{ pod: "checkout-7c9d8f6b5c-x2k4z", container: "app" }, "deployment/checkout of checkout"],
  [{ pod: "check-out-7c9d8f6b5c-x2k4z", app: "shop" }, "deployment/check-out of shop"],
  [{ pod: "db-0" }, "statefulset/db of db"],
  [{ pod: "fluentd-x7k2p", app: "logs" }, "deployment/logs of logs"],
  [{ deployment: "b", app: "../a" }, "deployment/b of b"],
])("%j is about %s", (labels, expected) => {
  const found = target({ namespace: "shop", ...labels });

  expect(found.kind === "target" && found.target).toMatchObject({ namespace: "shop" });
  expect(found.kind === "target" && textOf(found.target)).toBe(expected);
});

function textOf({ kind, name, app }: Target): string {
  return `${kind}/${name} of ${app}`;
}

test("a container of the hypervisor is found by its name and its project", () => {
  expect(target({ container: "web-1", project: "default" })).toMatchObject({
    target: { namespace: "default", kind: "container", name: "web-1", app: "web-1" },
  });
});

test("labels of the hypervisor beside a workload's do not make a container of it", () => {
  const labels = { container: "nginx", project: "my-cloud-project", namespace: "shop" };

  expect(target({ ...labels, deployment: "web" })).toMatchObject({
    target: { kind: "deployment", namespace: "shop", name: "web" },
  });
  expect(target({ ...labels, statefulset: "db" })).toMatchObject({
    target: { kind: "statefulset", name: "db" },
  });
});

test.each<[Record<string, string>, RegExp]>([
  [{ app: "checkout" }, /namespace/],
  [{ namespace: "shop" }, /pod and app name no workload/],
  [{ namespace: "../../secrets", app: "checkout" }, /namespace/],
  [{ namespace: "shop", app: "checkout/scale" }, /pod and app name no workload/],
  [{ namespace: "shop", app: "$(reboot)" }, /pod and app name no workload/],
  [{ namespace: "shop", app: "a".repeat(64) }, /pod and app name no workload/],
  [{ namespace: "shop", deployment: "A_b", app: "checkout" }, /pod and app name no workload/],
  [{ namespace: "shop", pod: "backup-29424495-x7k2p" }, /pod and app name no workload/],
  [{ namespace: "shop", pod: "fluentd-x7k2p" }, /pod and app name no workload/],
  [
    { namespace: "shop", app: "checkout", cluster: "us-1" },
    /about cluster "us-1", this service reaches default/,
  ],
])("%j names nothing that may be touched, and says why", (labels, why) => {
  expect(target(labels)).toMatchObject({ kind: "none", why: expect.stringMatching(why) });
});

test.each([
  [
    "runbooks: [{ id: A, title: t, match: { metric: m } }]",
    /runbooks.yaml:1: runbooks.0.id: must be lower-case/,
  ],
  [
    "runbooks:\n  - id: a\n    title: t\n    match: {}\n",
    /runbooks.yaml:4: runbooks.0.match: must name at least one/,
  ],
  [
    "runbooks:\n  - id: a\n    title: t\n    match: { metric: m }\n    action: reboot\n",
    /Unrecognized key: "action"/,
  ],
  [
    "runbooks:\n  - { id: a, title: t, match: { metric: m } }\n  - { id: a, title: t, match: { metric: n } }\n",
    /two runbooks are called a/,
  ],
  ["runbooks: [", /runbooks.yaml:1: /],
  ["a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nrunbooks: *c\n", /alias/i],
])("a broken catalogue is refused with the place: %j", (text, message) => {
  expect(() => parseCatalog(text, "runbooks.yaml")).toThrow(message);
});
