import { sha256Hex } from "../lib/canonical.ts";
import type { ActionName } from "./types.ts";

/** One line of the policy: for this trigger (and reason) this action is wanted. */
export interface PolicyRule {
  readonly trigger: string;
  readonly reason: string | undefined;
  readonly action: ActionName;
  /** The text it was read from, for explanations. */
  readonly text: string;
}

/** The rules that hold for a target, and where they came from. */
export interface Policy {
  /** The key that matched: `<namespace>.<app>`, `<namespace>.*`, `*.<app>`, `default`, or `env`. */
  readonly key: string;
  readonly rules: readonly PolicyRule[];
  /** SHA-256 of the policy's text: a decision names the version that it was made with. */
  readonly sha256: string;
}

/** A policy text that cannot be read is no policy: the caller must refuse to act. */
class PolicyError extends Error {
  override readonly name = "PolicyError";
}

const WORD = /^[\w.-]+$/;

/**
 * Reads `trigger[:reason]=action`, separated by semicolons, e.g. `crashloop=rollout_restart;success_rate:trend_break=rollout_restart`.
 *
 * @throws PolicyError that names the rule and what was expected
 */
export function parsePolicy(text: string, key: string, actions: ReadonlySet<string>): Policy {
  const rules = text
    .split(";")
    .map((rule) => rule.trim())
    .filter((rule) => rule !== "")
    .map((rule) => parseRule(rule, actions));
  return { key, rules, sha256: sha256Hex(text) };
}

function parseRule(text: string, actions: ReadonlySet<string>): PolicyRule {
  const [left = "", action = "", ...rest] = text.split("=").map((part) => part.trim());
  const [trigger = "", reason, ...more] = left.split(":").map((part) => part.trim());
  const wellFormed =
    rest.length === 0 &&
    more.length === 0 &&
    WORD.test(trigger) &&
    (reason === undefined || WORD.test(reason));
  if (!wellFormed)
    throw new PolicyError(`policy rule ${JSON.stringify(text)}: expected trigger[:reason]=action`);
  if (!actions.has(action)) {
    const known = [...actions].join(", ");
    throw new PolicyError(
      `policy rule ${JSON.stringify(text)}: ${JSON.stringify(action)} is not an action (${known})`,
    );
  }
  return { trigger, reason, action: action as ActionName, text };
}

/** A rule that names the reason goes before one that does not; among equals the first counts. */
export function findRule(policy: Policy, trigger: string, reason: string): PolicyRule | undefined {
  const candidates = policy.rules.filter((rule) => rule.trigger === trigger);
  return (
    candidates.find((rule) => rule.reason === reason) ??
    candidates.find((rule) => rule.reason === undefined)
  );
}
