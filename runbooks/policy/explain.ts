import type { Explanation, PolicyDocument, PolicyRule } from "../types/policy.ts";

/** The keys that may speak for an app, the most specific first. */
function keysFor({ namespace, app }: { readonly namespace: string; readonly app: string }) {
  // Kubernetes allows no dot in a namespace; with one, two places would share a key.
  const own = namespace.includes(".") ? [] : [`${namespace}.${app}`, `${namespace}.*`];
  return [...own, `*.${app}`, "default", "env"];
}

/**
 * Which line of the policy holds for an alert about an app. The most specific key that has a rule for the trigger counts;
 * under one key a rule that names the reason goes before one that does not.
 */
export function explain(
  document: PolicyDocument,
  place: { readonly namespace: string; readonly app: string },
  trigger: string,
  reason: string,
): Explanation {
  const index = indexOf(document);
  const considered: { key: string; result: Explanation["considered"][number]["result"] }[] = [];
  let key: string | undefined;
  let rule: PolicyRule | undefined;
  for (const candidate of keysFor(place)) {
    const rules = index.get(candidate);
    const found = rules && ruleAmong(rules.get(trigger) ?? [], reason);
    if (rules === undefined) considered.push({ key: candidate, result: "no such key" });
    else if (found === undefined) considered.push({ key: candidate, result: "no rule for it" });
    else if (key !== undefined) considered.push({ key: candidate, result: "lower priority" });
    else {
      considered.push({ key: candidate, result: "matched" });
      key = candidate;
      rule = found;
    }
  }
  return { key, rule, considered };
}

function ruleAmong(rules: readonly PolicyRule[], reason: string): PolicyRule | undefined {
  return (
    rules.find((rule) => rule.reason === reason) ?? rules.find((rule) => rule.reason === undefined)
  );
}

type Index = ReadonlyMap<string, ReadonlyMap<string, readonly PolicyRule[]>>;

/** A backtest asks a million times of one document. */
const indexes = new WeakMap<PolicyDocument, Index>();

function indexOf(document: PolicyDocument): Index {
  const known = indexes.get(document);
  if (known !== undefined) return known;
  const index = new Map(
    document.entries.map(({ key, rules }) => [key, Map.groupBy(rules, ({ trigger }) => trigger)]),
  );
  indexes.set(document, index);
  return index;
}

/** Every rule that may hold for an app, the most specific key's first, with the key under which each stands. */
export function rulesFor(
  document: PolicyDocument,
  place: { readonly namespace: string; readonly app: string },
): readonly { readonly key: string; readonly rule: PolicyRule }[] {
  const wanted = keysFor(place)
    .flatMap((key) => document.entries.filter((entry) => entry.key === key))
    .flatMap(({ rules }) => rules.map(({ trigger, reason = "" }) => ({ trigger, reason })));
  const found = wanted.map(({ trigger, reason }) => explain(document, place, trigger, reason));
  const effective = new Map(
    found.flatMap(({ key, rule }) =>
      key === undefined || rule === undefined ? [] : [[rule, { key, rule }] as const],
    ),
  );
  return [...effective.values()];
}

/** The part of a policy that can speak for an app: every decision keeps it, and a whole policy may be large. */
export function partFor(
  document: PolicyDocument,
  place: { readonly namespace: string; readonly app: string },
): PolicyDocument {
  const own = new Set(keysFor(place));
  return { ...document, entries: document.entries.filter(({ key }) => own.has(key)) };
}
