import { expect, test } from "@jest/globals";
import { parsePolicyMap } from "../../../runbooks/policy/document.ts";
import { explain, partFor, rulesFor } from "../../../runbooks/policy/explain.ts";
import { parsePolicy, PolicyError } from "../../../runbooks/policy/parse.ts";

const actions = new Set(["rollout_restart", "restart_pods"]);

function policyOf(data: Readonly<Record<string, string>>, env = "") {
  return parsePolicyMap(data, { environment: parsePolicy(env, actions), actions });
}

const RESTART = "crash=rollout_restart";
const PODS = "crash=restart_pods";
const checkout = { namespace: "shop", app: "checkout" };

test.each<[string, Record<string, string>, string, string | undefined]>([
  [
    "the app's own key",
    { "shop.checkout": PODS, "shop._any": RESTART, "_any.checkout": RESTART, default: RESTART },
    RESTART,
    "shop.checkout",
  ],
  [
    "its namespace's",
    { "shop._any": PODS, "_any.checkout": RESTART, default: RESTART },
    RESTART,
    "shop.*",
  ],
  [
    "the app's in any namespace",
    { "_any.checkout": PODS, default: RESTART },
    RESTART,
    "*.checkout",
  ],
  ["the default", { default: PODS, "shop.other": RESTART }, RESTART, "default"],
  ["the environment", { "shop.other": RESTART }, PODS, "env"],
  [
    "the next key when the first has no rule for it",
    { "shop.checkout": "slow=rollout_restart", default: PODS },
    "",
    "default",
  ],
  ["nothing", { "other._any": PODS }, "", undefined],
])("%s counts", (_name, data, env, key) => {
  const found = explain(policyOf(data, env), checkout, "crash", "");

  expect(found.key).toBe(key);
  expect(found.rule?.action).toBe(key === undefined ? undefined : "restart_pods");
});

test("says of every key why it did or did not count", () => {
  const policy = policyOf({
    "shop.checkout": "slow=rollout_restart",
    "_any.checkout": PODS,
    default: RESTART,
  });

  expect(explain(policy, checkout, "crash", "").considered).toEqual([
    { key: "shop.checkout", result: "no rule for it" },
    { key: "shop.*", result: "no such key" },
    { key: "*.checkout", result: "matched" },
    { key: "default", result: "lower priority" },
    { key: "env", result: "no rule for it" },
  ]);
});

test("a key is split at its first dot: an app may have dots, a namespace has none", () => {
  const policy = policyOf({ "shop.checkout.v2": PODS });

  expect(explain(policy, { namespace: "shop", app: "checkout.v2" }, "crash", "").key).toBe(
    "shop.checkout.v2",
  );
  expect(
    explain(policy, { namespace: "shop.checkout", app: "v2" }, "crash", "").key,
  ).toBeUndefined();
  expect(explain(policy, checkout, "crash", "").key).toBeUndefined();
});

test("an app called like a word of ours gets no other app's rules", () => {
  const policy = policyOf({ default: PODS });

  expect(
    explain(policy, { namespace: "shop", app: "constructor" }, "constructor", "").rule,
  ).toBeUndefined();
});

test("under one key the rule with the reason goes first; a more specific key goes before both", () => {
  const policy = policyOf({
    "shop._any": "crash=rollout_restart",
    default: "crash=rollout_restart; crash:oom=restart_pods",
  });

  expect(explain(policy, checkout, "crash", "oom").key).toBe("shop.*");
  expect(explain(policy, { namespace: "b", app: "b" }, "crash", "oom").rule?.action).toBe(
    "restart_pods",
  );
  expect(explain(policy, { namespace: "b", app: "b" }, "crash", "").rule?.action).toBe(
    "rollout_restart",
  );
});

test("the key policy.yaml may hold the literal names", () => {
  const policy = policyOf({
    "policy.yaml": `"shop.*": ${PODS}\n"*.checkout": ${RESTART}\ndefault: |\n  ${RESTART}\n`,
  });

  expect(policy.entries.map(({ key }) => key)).toEqual(["*.checkout", "default", "shop.*", "env"]);
});

test.each<[string, Record<string, string>, string]>([
  [
    "no dot",
    { shop: PODS },
    'key "shop": expected <namespace>.<app>, <namespace>._any, _any.<app>, default or policy.yaml',
  ],
  ["twice any", { "_any._any": PODS }, 'key "_any._any": expected <namespace>'],
  ["a name that is none", { "Shop.x": PODS }, 'key "Shop.x": expected'],
  [
    "two spellings of one key",
    { "shop._any": PODS, "policy.yaml": `"shop.*": ${RESTART}` },
    'key "policy.yaml: shop.*": means the same as "shop._any"',
  ],
  [
    "a rule that is none",
    { default: "\ncrash=reboot" },
    'key "default", line 2, column 7: "reboot" is not an action',
  ],
  ["YAML that is none", { "policy.yaml": "a: [" }, 'key "policy.yaml": '],
  ["a list", { "policy.yaml": "- a" }, 'key "policy.yaml": must be a map of keys to rules'],
  [
    "a number",
    { "policy.yaml": "default: 5" },
    'key "policy.yaml: default": must be a text of rules',
  ],
  [
    "the same YAML key twice",
    { "policy.yaml": `default: ${PODS}\ndefault: ${RESTART}` },
    "Map keys must be unique",
  ],
])("refuses %s", (_name, data, message) => {
  expect(() => policyOf(data)).toThrow(message);
  expect(() => policyOf(data)).toThrow(PolicyError);
});

test("the version changes with any rule, the environment's included, and with nothing else", () => {
  const version = policyOf({ default: PODS }).sha256;

  expect(policyOf({ default: PODS }).sha256).toBe(version);
  expect(policyOf({ default: RESTART }).sha256).not.toBe(version);
  expect(policyOf({ default: PODS }, RESTART).sha256).not.toBe(version);
});

test("lists every rule that may hold for an app, and none that another one hides", () => {
  const policy = policyOf(
    { "shop.checkout": PODS, "shop._any": `${RESTART}; slow=restart_pods`, "pay._any": RESTART },
    "slow:drop=rollout_restart; full=restart_pods",
  );

  expect(rulesFor(policy, checkout).map(({ key, rule }) => `${key} ${rule.text}`)).toEqual([
    "shop.checkout crash=restart_pods",
    "shop.* slow=restart_pods",
    "env full=restart_pods",
  ]);
});

test.each([
  ["true", "true"],
  [" a release until 18:00 ", "a release until 18:00"],
  ["false", undefined],
])("the key disabled, %j, switches everything off or not", (text, disabled) => {
  const policy = policyOf({ disabled: text, default: PODS });

  expect(policy.disabled).toBe(disabled);
  expect(policy.entries.map(({ key }) => key)).toEqual(["default", "env"]);
});

test("the key disabled without a word is refused", () => {
  expect(() => policyOf({ disabled: " " })).toThrow(
    'key "disabled": must be true, false, or the reason',
  );
});

test("the part of a policy that speaks for an app explains as the whole does", () => {
  const data = { "shop.checkout": "slow=rollout_restart", "shop._any": PODS, "pay._any": RESTART };
  const policy = policyOf(data, RESTART);
  const part = partFor(policy, checkout);

  expect(part.entries.map(({ key }) => key)).toEqual(["shop.*", "shop.checkout", "env"]);
  expect(part.sha256).toBe(policy.sha256);
  expect(explain(part, checkout, "crash", "")).toEqual(explain(policy, checkout, "crash", ""));
});
