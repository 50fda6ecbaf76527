import { parseDuration } from "../../lib/duration.ts";
import type { RuleOptions } from "../types/policy.ts";
import { parseWindow } from "./window.ts";

/** What an option's value means, or, as a text, what was expected. */
type Reader = (value: string) => RuleOptions | string;

const PODS_MAX = 10_000;
const COOLDOWN_MAX_SECONDS = 7 * 86_400;
const VERIFY_MAX_SECONDS = 3_600;
const QUORUM_MAX = 9;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["mode", oneOf(["shadow", "approve", "auto"], (mode) => ({ mode }))],
  ["min", number(0, PODS_MAX, (min) => ({ min }))],
  ["max", number(1, PODS_MAX, (max) => ({ max }))],
  ["window", windowOption],
  ["cooldown", duration(COOLDOWN_MAX_SECONDS, (cooldownSeconds) => ({ cooldownSeconds }))],
  ["quorum", number(1, QUORUM_MAX, (quorum) => ({ quorum }))],
  ["approvers", approversOption],
  ["hpa", oneOf(["refuse", "raise-min"], (hpa) => ({ hpa }))],
  ["recheck", oneOf(["on", "off"], (text) => ({ recheck: text === "on" }))],
  ["batch", number(1, PODS_MAX, (batch) => ({ batch }))],
  ["verify", duration(VERIFY_MAX_SECONDS, (verifySeconds) => ({ verifySeconds }))],
  ["max-unhealthy", percentOption],
]);

/** Every option's name, for messages. */
const optionNames: readonly string[] = [...READERS.keys()];

/** Reads one `name=value`. Returns what was expected, as a text, when it cannot be read. */
export function readOption(name: string, value: string): RuleOptions | string {
  const reader = READERS.get(name);
  if (reader === undefined)
    return `${JSON.stringify(name)} is not an option (${optionNames.join(", ")})`;
  return reader(value);
}

/** What is wrong with options that are right one by one. */
export function optionsProblem({ min, max, mode, quorum, approvers }: RuleOptions) {
  if (min !== undefined && max !== undefined && min > max)
    return `min=${min} is more than max=${max}`;
  if (mode === "auto" && (quorum ?? approvers) !== undefined)
    return "mode=auto asks nobody: quorum and approvers mean nothing there";
  return undefined;
}

function oneOf<const T extends string>(
  values: readonly T[],
  toOptions: (value: T) => RuleOptions,
): Reader {
  return (value) => {
    const found = values.find((known) => known === value);
    return found === undefined
      ? `must be one of ${values.join(", ")}, got ${JSON.stringify(value)}`
      : toOptions(found);
  };
}

function number(min: number, max: number, toOptions: (value: number) => RuleOptions): Reader {
  return (value) =>
    /^\d{1,5}$/.test(value) && Number(value) >= min && Number(value) <= max
      ? toOptions(Number(value))
      : `must be an integer from ${min} to ${max}, got ${JSON.stringify(value)}`;
}

function duration(maxSeconds: number, toOptions: (seconds: number) => RuleOptions): Reader {
  return (value) => {
    const seconds = parseDuration(value);
    return seconds === undefined || seconds > maxSeconds
      ? `must be a length of time such as 90s, 15m or 2h, at most ${maxSeconds}s, got ${JSON.stringify(value)}`
      : toOptions(seconds);
  };
}

function windowOption(value: string): RuleOptions | string {
  const window = parseWindow(value);
  return typeof window === "string" ? window : { windows: [window] };
}

/** `name`, `name=U…` (one person, two accounts), `U…`, `@S…` (a Slack user group), joined by `+`. */
function approversOption(value: string): RuleOptions | string {
  const approvers = value.split("+").map((entry) => entry.trim());
  return approvers.every((entry) => /^@?[\w.-]+(=[\w.-]+)?$/.test(entry))
    ? { approvers }
    : `must be names joined by +, such as ana+U012AB+@S0123, got ${JSON.stringify(value)}`;
}

function percentOption(value: string): RuleOptions | string {
  const [, digits] = /^(\d{1,3})%$/.exec(value) ?? [];
  return digits === undefined || Number(digits) > 100
    ? `must be a percentage such as 30%, got ${JSON.stringify(value)}`
    : { maxUnhealthyPercent: Number(digits) };
}
