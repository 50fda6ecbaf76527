import { expect, test } from "@jest/globals";
import { decide, type DecisionInput } from "../../runbooks/decide.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import type { BreakerState } from "../../runbooks/types/breaker.ts";

const ACTIONS = new Set(["rollout_restart"]);
const closed: BreakerState = { kind: "known", open: false, usedHour: 0, usedDay: 0 };

function given(
  change: Partial<DecisionInput> = {},
  switches: Partial<DecisionInput["switches"]> = {},
): DecisionInput {
  return {
    alert: {
      trigger: "latency_p99",
      reason: "level_shift",
      labels: {},
      truncated: false,
      source: "detector",
    },
    target: {
      cluster: "default",
      namespace: "shop",
      kind: "deployment",
      name: "checkout",
      app: "checkout",
    },
    policy: {
      kind: "known",
      document: parsePolicy("latency_p99:level_shift=rollout_restart", ACTIONS),
    },
    breakers: { target: closed, app: closed },
    killed: null,
    health: { sick: 1, workloads: 10, recentTargets: 1 },
    lastActionAt: null,
    scope: { namespaces: null, sourceNamespaces: null },
    switches: {
      enabled: true,
      dryRun: false,
      requireApproval: true,
      approvers: ["ana"],
      limits: { hourly: 3, daily: 10 },
      ...switches,
    },
    now: "2026-11-21T03:00:00.000Z",
    ...change,
  };
}

test("acts with approval when every gate is open, and names each gate", () => {
  const { verdict, path } = decide(given());

  expect(verdict).toMatchObject({
    kind: "act",
    rule: { action: "rollout_restart", key: "env" },
    approval: { quorum: 1, approvers: ["ana"] },
    dryRun: false,
  });
  expect(path).toEqual([
    "remediation is enabled",
    "namespace shop may be touched",
    "the group of alerts is whole",
    expect.stringMatching(/^policy version [0-9a-f]{12}$/),
    'policy "env" says latency_p99:level_shift=rollout_restart',
    "any time is allowed",
    "the target has rested",
    "sick workloads in shop: 1",
    "the circuit breaker has room",
    "asks ana (RUNBOOK_AUTOFIX_REQUIRE_APPROVAL is true)",
  ]);
});

const alert = given().alert;

function onScope(namespaces: string[] | null, sourceNamespaces: string[] | null): DecisionInput {
  return given({ scope: { namespaces, sourceNamespaces } });
}

function onHealth(sick: number, workloads: number | null, recentTargets: number): DecisionInput {
  return given({ health: { sick, workloads, recentTargets } });
}

const onNobodyCounts = { health: { sick: 9, workloads: null, recentTargets: 5 } } as const;

/** The rule with these options. 2026-11-21T03:00Z is a Saturday. */
function onRule(
  options: string,
  change: Partial<DecisionInput> = {},
  switches: Partial<DecisionInput["switches"]> = {},
): DecisionInput {
  const text = `latency_p99:level_shift=rollout_restart{${options}}`;
  const policy = { kind: "known", document: parsePolicy(text, ACTIONS) } as const;
  return given({ policy, ...change }, switches);
}

function onTarget(state: BreakerState): Partial<DecisionInput> {
  return { breakers: { target: state, app: closed } };
}

test.each<[string, DecisionInput, string]>([
  ["remediation is off", given({}, { enabled: false }), "skipped_disabled"],
  ["the group was cut", given({ alert: { ...alert, truncated: true } }), "skipped_truncated"],
  [
    "no rule is for the trigger",
    given({ alert: { ...alert, trigger: "other" } }),
    "skipped_no_policy",
  ],
  [
    "the reason is another one",
    given({ alert: { ...alert, reason: "trend_break" } }),
    "skipped_no_policy",
  ],
  [
    "the trigger is a name of Object.prototype",
    given({ alert: { ...alert, trigger: "constructor" } }),
    "skipped_no_policy",
  ],
  ["the breaker is open", given(onTarget({ ...closed, open: true })), "skipped_circuit"],
  [
    "the hour is used up",
    given(onTarget({ ...closed, usedHour: 3, usedDay: 3 })),
    "skipped_circuit",
  ],
  ["the day is used up", given(onTarget({ ...closed, usedDay: 10 })), "skipped_circuit"],
  ["the breaker cannot be read", given(onTarget({ kind: "unknown" })), "skipped_circuit"],
  [
    "the breaker of the app is open",
    given({ breakers: { target: closed, app: { ...closed, open: true } } }),
    "skipped_circuit",
  ],
  [
    "a person switched the app off",
    given({ killed: { scope: "shop/checkout", by: "ana", reason: "release" } }),
    "skipped_disabled",
  ],
  ["the kill switch cannot be read", given({ killed: "unknown" }), "skipped_disabled"],
  [
    "the policy cannot be read",
    given({ policy: { kind: "unknown", why: "no answer" } }),
    "skipped_no_policy",
  ],
  [
    "the policy itself is disabled",
    given({
      policy: {
        kind: "known",
        document: { ...parsePolicy("", ACTIONS), disabled: "release" },
      },
    }),
    "skipped_disabled",
  ],
  ["nobody may approve", given({}, { approvers: [] }), "skipped_no_approval"],
  ["the namespace is not named", onScope(["pay", "team-*"], null), "skipped_not_allowed"],
  ["the sender may not speak for it", onScope(null, ["pay"]), "skipped_not_allowed"],
  [
    "it is Kubernetes' own namespace",
    given({ target: { ...given().target, namespace: "kube-system" } }),
    "skipped_not_allowed",
  ],
  ["it is not the time", onRule("window=sun 03:00-04:00"), "skipped_window"],
  [
    "the target was acted on lately",
    onRule("cooldown=15m", { lastActionAt: "2026-11-21T02:45:01.000Z" }),
    "skipped_cooldown",
  ],
  ["60 % of the namespace are sick", onHealth(6, 10, 5), "skipped_max_unhealthy"],
  ["nobody knows of how many they are", onHealth(3, null, 3), "skipped_max_unhealthy"],
  ["much is sick elsewhere", onHealth(1, 10, 6), "skipped_max_unhealthy"],
  ["it is not known what is sick", given({ health: "unknown" }), "skipped_max_unhealthy"],
  ["the rule asks for more people than there are", onRule("quorum=2"), "skipped_no_approval"],
])("does nothing when %s", (_name, input, state) => {
  const { verdict, path } = decide(input);

  expect(verdict).toMatchObject({ kind: "skip", state });
  expect(path.at(-1)).toMatch(new RegExp(`^${state}: `));
});

test("does not ask when no approval is required, and keeps the dry run", () => {
  const { verdict } = decide(given({}, { requireApproval: false, approvers: [], dryRun: true }));

  expect(verdict).toMatchObject({
    kind: "act",
    rule: { action: "rollout_restart" },
    approval: undefined,
    dryRun: true,
  });
});

test("gives the same decision for the same input", () => {
  expect(decide(given())).toEqual(decide(structuredClone(given())));
});

test.each<[string, DecisionInput]>([
  ["the namespace is named", onScope(["sh*"], ["shop"])],
  ["it is the time", onRule("window=sat 03:00-04:00")],
  ["the target has rested", onRule("cooldown=15m", { lastActionAt: "2026-11-21T02:45:00.000Z" })],
  ["it was never acted on", onRule("cooldown=15m")],
  ["30 % of the namespace are sick", onHealth(3, 10, 5)],
  ["everything may be sick", onRule("max-unhealthy=100%", onNobodyCounts)],
  ["two of two are sick: too few for a share", onHealth(2, 2, 2)],
  [
    "the rule allows more sick ones",
    onRule("max-unhealthy=60%", { health: { sick: 6, workloads: 10, recentTargets: 5 } }),
  ],
  ["a user group may approve for two", onRule("quorum=2,approvers=@S0123")],
])("acts when %s", (_name, input) => {
  expect(decide(input).verdict.kind).toBe("act");
});

test.each<[string, boolean, string, boolean]>([
  ["mode=auto while approval is required", true, "mode=auto", true],
  ["mode=auto", false, "mode=auto", false],
  ["mode=approve", false, "mode=approve", true],
  ["no mode", false, "batch=1", false],
])("the stricter of the switch and the mode wins: %s", (_name, requireApproval, options, asks) => {
  const { verdict } = decide(onRule(options, {}, { requireApproval }));

  expect(verdict).toMatchObject({ kind: "act" });
  expect(verdict.kind === "act" && verdict.approval !== undefined).toBe(asks);
});

test("asks those whom the rule names, as many as it wants", () => {
  const { verdict, path } = decide(onRule("quorum=2,approvers=ivan+eva+@S0123"));

  expect(verdict).toMatchObject({ approval: { quorum: 2, approvers: ["ivan", "eva", "@S0123"] } });
  expect(path.at(-1)).toBe(
    "asks ivan, eva, @S0123, 2 of them (RUNBOOK_AUTOFIX_REQUIRE_APPROVAL is true)",
  );
});

test("a shadow rule says what it would have done, and counts only what would have passed every gate", () => {
  expect(decide(onRule("mode=shadow")).verdict).toMatchObject({ kind: "shadow", wouldAsk: true });
  expect(decide(onRule("mode=shadow", {}, { requireApproval: false })).verdict).toMatchObject({
    kind: "shadow",
    wouldAsk: false,
  });
  expect(decide(onRule("mode=shadow,window=sun 03:00-04:00")).verdict).toMatchObject({
    state: "skipped_window",
  });
});

test("says of every key of the policy whether it counted", () => {
  const { key, considered } = decide(given());

  expect(key).toBe("env");
  expect(considered.map(({ result }) => result)).toEqual([
    "no such key",
    "no such key",
    "no such key",
    "no such key",
    "matched",
  ]);
});
