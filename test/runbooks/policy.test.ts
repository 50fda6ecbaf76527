import { expect, test } from "@jest/globals";
import { findRule, parsePolicy } from "../../runbooks/policy.ts";

const ACTIONS = new Set(["rollout_restart"]);

test("prefers the rule that names the reason, whatever the order", () => {
  const policy = parsePolicy(
    "latency=rollout_restart;latency:level_shift=rollout_restart",
    "env",
    ACTIONS,
  );

  expect(findRule(policy, "latency", "level_shift")?.text).toBe(
    "latency:level_shift=rollout_restart",
  );
  expect(findRule(policy, "latency", "trend_break")?.text).toBe("latency=rollout_restart");
  expect(findRule(policy, "success_rate", "level_shift")).toBeUndefined();
});

test("does not let a rule with a reason cover an alert without one", () => {
  const policy = parsePolicy("latency:level_shift=rollout_restart", "env", ACTIONS);

  expect(findRule(policy, "latency", "")).toBeUndefined();
});

test.each([
  ["latency", 'policy rule "latency": "" is not an action (rollout_restart)'],
  ["latency=reboot", 'policy rule "latency=reboot": "reboot" is not an action (rollout_restart)'],
  [
    "a:b:c=rollout_restart",
    'policy rule "a:b:c=rollout_restart": expected trigger[:reason]=action',
  ],
  ["$(x)=rollout_restart", 'policy rule "$(x)=rollout_restart": expected trigger[:reason]=action'],
  ["a=b=c", 'policy rule "a=b=c": expected trigger[:reason]=action'],
])("refuses %s and says what was expected", (text, message) => {
  expect(() => parsePolicy(text, "env", ACTIONS)).toThrow(message);
});

test("an empty policy has no rules", () => {
  expect(parsePolicy(" ; ", "env", ACTIONS).rules).toEqual([]);
});
