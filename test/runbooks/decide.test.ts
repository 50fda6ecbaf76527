import { expect, test } from "@jest/globals";
import type { BreakerState } from "../../runbooks/breaker.ts";
import { decide, type DecisionInput } from "../../runbooks/decide.ts";
import { parsePolicy } from "../../runbooks/policy.ts";

const closed: BreakerState = { kind: "known", open: false, usedHour: 0, usedDay: 0 };

function given(
  change: Partial<DecisionInput> = {},
  switches: Partial<DecisionInput["switches"]> = {},
): DecisionInput {
  return {
    alert: { trigger: "latency_p99", reason: "level_shift", labels: {}, truncated: false },
    policy: parsePolicy(
      "latency_p99:level_shift=rollout_restart",
      "env",
      new Set(["rollout_restart"]),
    ),
    breaker: closed,
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

  expect(verdict).toEqual({
    kind: "act",
    action: "rollout_restart",
    approval: true,
    dryRun: false,
  });
  expect(path).toEqual([
    "remediation is enabled",
    "the group of alerts is whole",
    'policy "env" says latency_p99:level_shift=rollout_restart',
    "the circuit breaker has room",
    "asks ana",
  ]);
});

const alert = given().alert;

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
  ["the breaker is open", given({ breaker: { ...closed, open: true } }), "skipped_circuit"],
  [
    "the hour is used up",
    given({ breaker: { ...closed, usedHour: 3, usedDay: 3 } }),
    "skipped_circuit",
  ],
  ["the day is used up", given({ breaker: { ...closed, usedDay: 10 } }), "skipped_circuit"],
  ["the breaker cannot be read", given({ breaker: { kind: "unknown" } }), "skipped_circuit"],
  ["nobody may approve", given({}, { approvers: [] }), "skipped_no_approval"],
])("does nothing when %s", (_name, input, state) => {
  const { verdict, path } = decide(input);

  expect(verdict).toMatchObject({ kind: "skip", state });
  expect(path.at(-1)).toMatch(new RegExp(`^${state}: `));
});

test("does not ask when no approval is required, and keeps the dry run", () => {
  const { verdict } = decide(given({}, { requireApproval: false, approvers: [], dryRun: true }));

  expect(verdict).toEqual({
    kind: "act",
    action: "rollout_restart",
    approval: false,
    dryRun: true,
  });
});

test("gives the same decision for the same input", () => {
  expect(decide(given())).toEqual(decide(structuredClone(given())));
});
