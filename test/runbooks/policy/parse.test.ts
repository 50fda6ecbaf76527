import { expect, test } from "@jest/globals";
import { parsePolicy, parseRules, PolicyError } from "../../../runbooks/policy/parse.ts";

const ACTIONS = new Set(["rollout_restart", "restart_pods", "scale_up"]);

function problemsOf(text: string): readonly string[] {
  try {
    parseRules(text, ACTIONS);
    return [];
  } catch (error) {
    return error instanceof PolicyError ? error.problems : [String(error)];
  }
}

test("reads the contract's own example", () => {
  const text =
    "crashloop=restart_pods;success_rate:trend_break=rollout_restart;latency_p99:level_shift=scale_up:+1";

  expect(parseRules(text, ACTIONS)).toMatchObject([
    { trigger: "crashloop", reason: undefined, action: "restart_pods", argument: undefined },
    { trigger: "success_rate", reason: "trend_break", action: "rollout_restart" },
    { trigger: "latency_p99", reason: "level_shift", action: "scale_up", argument: "+1" },
  ]);
});

test("reads lines, comments, and every option", () => {
  const text = `
    # at night nobody is there
    crashloop = restart_pods { mode=auto, batch=2, cooldown=15m,
      window=mon-fri 08:00-18:00 Europe/Zagreb, window=sat 22:00-06:00 }  # two windows
    latency = scale_up:+1{mode=approve,min=2,max=6,quorum=2,approvers=ana+ivan=U012AB+@S0123,hpa=raise-min,recheck=off,verify=5m,max-unhealthy=50%}
  `;

  expect(parseRules(text, ACTIONS).map(({ options }) => options)).toEqual([
    {
      mode: "auto",
      batch: 2,
      cooldownSeconds: 900,
      windows: [
        {
          days: [1, 2, 3, 4, 5],
          from: 480,
          to: 1080,
          zone: "Europe/Zagreb",
          text: "mon-fri 08:00-18:00 Europe/Zagreb",
        },
        { days: [6], from: 1320, to: 360, zone: "UTC", text: "sat 22:00-06:00" },
      ],
    },
    {
      mode: "approve",
      min: 2,
      max: 6,
      quorum: 2,
      approvers: ["ana", "ivan=U012AB", "@S0123"],
      hpa: "raise-min",
      recheck: false,
      verifySeconds: 300,
      maxUnhealthyPercent: 50,
    },
  ]);
});

test.each([
  ["latency", 'line 1, column 1: expected trigger[:reason]=action, got "latency"'],
  [
    "a=reboot",
    'line 1, column 3: "reboot" is not an action (rollout_restart, restart_pods, scale_up)',
  ],
  [
    "a:b:c=rollout_restart",
    'line 1, column 3: a reason is letters, digits, "_", "." and "-", not "b:c"',
  ],
  [
    "$(x)=rollout_restart",
    'line 1, column 1: a trigger is letters, digits, "_", "." and "-", not "$(x)"',
  ],
  ["\n  a=scale_up:+1 +2", 'line 2, column 14: "+1 +2" is not an argument, such as +1'],
  [
    "a=restart_pods{mode=yes}",
    'line 1, column 21: must be one of shadow, approve, auto, got "yes"',
  ],
  [
    "a=restart_pods{speed=9}",
    'line 1, column 22: "speed" is not an option (mode, min, max, window, cooldown, quorum, approvers, hpa, recheck, batch, verify, max-unhealthy)',
  ],
  ["a=restart_pods{mode}", 'line 1, column 16: an option is name=value, not "mode"'],
  ["a=restart_pods{mode=auto", "line 1, column 1: a { is not closed by }"],
  ["a=restart_pods{} b", 'line 1, column 18: nothing may follow }, got "b"'],
  ["a=restart_pods{min=5,max=2}", "line 1, column 16: min=5 is more than max=2"],
  ["a=restart_pods{max=2,max=3}", "line 1, column 22: max is given twice"],
  [
    "a=restart_pods{mode=auto,quorum=2}",
    "line 1, column 16: mode=auto asks nobody: quorum and approvers mean nothing there",
  ],
  [
    "a=restart_pods{cooldown=8d}",
    'line 1, column 25: must be a length of time such as 90s, 15m or 2h, at most 604800s, got "8d"',
  ],
  [
    "a=restart_pods{window=mon 8-18}",
    'line 1, column 23: a window is "mon-fri 08:00-18:00 Europe/Zagreb", not "mon 8-18"',
  ],
  ["a=restart_pods\na=rollout_restart", "line 2, column 1: there is a rule for a already"],
  [
    "a=restart_pods{max-unhealthy=101%}",
    'line 1, column 30: must be a percentage such as 30%, got "101%"',
  ],
])("refuses %j with its place and what was expected", (text, problem) => {
  expect(problemsOf(text)).toEqual([problem]);
});

test("tells all problems at once", () => {
  expect(problemsOf("a=reboot; b=restart_pods{min=x}\nc")).toEqual([
    expect.stringMatching(/^line 1, column 3: /),
    expect.stringMatching(/^line 1, column 30: /),
    expect.stringMatching(/^line 2, column 1: /),
  ]);
});

test("an action refuses an argument that it does not know", () => {
  const refuse = () => "takes no argument";

  expect(() => parseRules("a=restart_pods:+1", ACTIONS, refuse)).toThrow(
    "line 1, column 16: takes no argument",
  );
});

test("a text without end is refused by its length, not read", () => {
  expect(problemsOf("a".repeat(300_000))).toEqual(["is longer than 262144 characters: 300000"]);
});

test("an empty policy has no rules", () => {
  expect(parsePolicy(" ; ", ACTIONS).entries).toEqual([{ key: "env", rules: [] }]);
});
