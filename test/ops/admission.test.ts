import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { Environment } from "@marcbachmann/cel-js";
import { parseAllDocuments } from "yaml";

interface Policy {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly matchConditions: readonly { readonly expression: string }[];
    readonly validations: readonly { readonly expression: string; readonly message: string }[];
  };
}

type Json = { [key: string]: unknown };
type Change = (object: Json) => void;

const documents = parseAllDocuments(await readFile("ops/kubernetes/base/admission.yaml", "utf8"));
const policies = documents
  .map((document) => document.toJS() as Policy)
  .filter(({ kind }) => kind === "ValidatingAdmissionPolicy");
const environment = new Environment({ enableOptionalTypes: true })
  .registerVariable("object", "dyn")
  .registerVariable("oldObject", "dyn")
  .registerVariable("request", "dyn");

/** The messages of the rules that do not hold, as the API server would give them. */
function refusals(name: string, before: Json, change: Change): readonly string[] {
  const after = JSON.parse(JSON.stringify(before)) as Json; // a copy of this realm: the evaluator asks for the class
  change(after);
  const policy = policies.find(({ metadata }) => metadata.name === name);
  const context = { object: numbers(after), oldObject: numbers(before) };
  return (policy?.spec.validations ?? [])
    .filter(({ expression }) => environment.evaluate(expression, context) !== true)
    .map(({ message }) => message);
}

/** JSON's whole numbers are CEL's integers. */
function numbers(value: unknown): unknown {
  if (typeof value === "number") return BigInt(value);
  if (Array.isArray(value)) return value.map(numbers);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, numbers(one)]));
}

/** Sets what a path of names leads to; undefined takes it away. */
function set(path: string, value: unknown): Change {
  const names = path.split(" ");
  const last = names.pop() ?? "";
  return (object) => {
    let at = object;
    for (const name of names) at = (at[name] ??= {}) as Json;
    if (value === undefined) Reflect.deleteProperty(at, last);
    else at[last] = value;
  };
}

const DEPLOYMENT: Json = {
  metadata: { name: "web", labels: { app: "web" }, ownerReferences: [{ uid: "1" }] },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: "web" } },
    strategy: { type: "RollingUpdate" },
    template: {
      metadata: { labels: { app: "web" }, annotations: { "prometheus.io/scrape": "true" } },
      spec: { containers: [{ name: "web", image: "web:1" }] },
    },
  },
};
const BARE: Json = {
  metadata: { name: "web" },
  spec: { selector: {}, template: { metadata: {}, spec: { containers: [] } } },
};
const HPA: Json = {
  metadata: { name: "web" },
  spec: {
    minReplicas: 2,
    maxReplicas: 10,
    scaleTargetRef: { kind: "Deployment", name: "web" },
    metrics: [{ type: "Resource" }],
  },
};
const restart = set("spec template metadata annotations kubectl.kubernetes.io/restartedAt", "now");

/** Of the rule whose message this is: what breaks it, and nothing else. */
const REFUSED: readonly (readonly [policy: string, message: string, ...changes: Change[]])[] = [
  [
    "fettle-executor-restart-only",
    "the pods' specification must not change",
    set("spec template spec containers", [{ name: "web", image: "miner:1" }]),
    set("spec template spec hostNetwork", true),
  ],
  [
    "fettle-executor-restart-only",
    "the pods' labels must not change",
    set("spec template metadata labels app", "db"),
    set("spec template metadata labels", undefined),
  ],
  ["fettle-executor-restart-only", "use the scale subresource", set("spec replicas", 0)],
  [
    "fettle-executor-restart-only",
    "the selector must not change",
    set("spec selector matchLabels app", "db"),
  ],
  [
    "fettle-executor-restart-only",
    "how the workload is rolled out must not change",
    set("spec strategy type", "Recreate"),
    set("spec updateStrategy", { type: "OnDelete" }),
    set("spec paused", true),
    set("spec minReadySeconds", 3600),
    set("spec progressDeadlineSeconds", 1),
    set("spec revisionHistoryLimit", 0),
    set("spec persistentVolumeClaimRetentionPolicy", { whenDeleted: "Delete" }),
    set("spec ordinals", { start: 5 }),
  ],
  [
    "fettle-executor-restart-only",
    "the workload's labels, owners and finalizers must not change",
    set("metadata labels app", "db"),
    set("metadata ownerReferences", undefined),
    set("metadata finalizers", ["nobody/ever"]),
  ],
  [
    "fettle-executor-restart-only",
    "no annotation of the pods but the restart's may change",
    set("spec template metadata annotations prometheus.io/scrape", "false"),
    set("spec template metadata annotations added", "by somebody"),
  ],
  [
    "fettle-executor-restart-only",
    "no annotation of the pods may be taken away",
    set("spec template metadata annotations", undefined),
  ],
  [
    "fettle-executor-raise-minimum-only",
    "the maximum and the target must not change",
    set("spec maxReplicas", 1000),
    set("spec scaleTargetRef name", "db"),
  ],
  [
    "fettle-executor-raise-minimum-only",
    "the minimum may only be raised",
    set("spec minReplicas", 1),
    set("spec minReplicas", undefined),
  ],
  [
    "fettle-executor-raise-minimum-only",
    "metrics and behaviour must not change",
    set("spec metrics", []),
    set("spec behavior", { scaleDown: {} }),
  ],
];

test.each(REFUSED)("%s refuses by its rule: %s", (policy, message, ...changes) => {
  const before = policy.endsWith("restart-only") ? DEPLOYMENT : HPA;

  for (const change of changes) expect(refusals(policy, before, change)).toEqual([message]);
});

test("each rule has a change that it refuses", () => {
  const rules = policies.flatMap(({ metadata, spec }) =>
    spec.validations.map(({ message }) => [metadata.name, message]),
  );

  expect(REFUSED.map(([policy, message]) => [policy, message])).toEqual(rules);
});

test.each([
  ["a restart", "fettle-executor-restart-only", DEPLOYMENT, restart],
  ["a restart of what has nothing optional", "fettle-executor-restart-only", BARE, restart],
  ["a higher minimum", "fettle-executor-raise-minimum-only", HPA, set("spec minReplicas", 4)],
] as const)("%s is let through", (_what, policy, before, change) => {
  expect(refusals(policy, before, change)).toEqual([]);
});

test("the policies are for the executor alone: everybody else goes on as before", () => {
  const asked = (username: string) =>
    policies.map(({ spec }) =>
      spec.matchConditions.map(
        ({ expression }) =>
          environment.evaluate(expression, { request: { userInfo: { username } } }) === true,
      ),
    );

  expect(asked("system:serviceaccount:runbooks:fettle-executor")).toEqual([[true], [true]]);
  expect(asked("system:serviceaccount:shop:deployer")).toEqual([[false], [false]]);
});
