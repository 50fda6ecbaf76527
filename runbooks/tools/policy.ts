import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import type { Environment } from "../../lib/config.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { actionNames } from "../actions/index.ts";
import { killedBy } from "../kill-switch.ts";
import { argumentProblem } from "../policy/arguments.ts";
import { parsePolicyMap, type PolicyMapContext } from "../policy/document.ts";
import { explain, rulesFor } from "../policy/explain.ts";
import { policyNow, type PolicyInForce } from "../policy/in-force.ts";
import { parseRules, PolicyError } from "../policy/parse.ts";
import { isOpen } from "../policy/window.ts";
import type { Explanation, PolicyDocument, PolicyRule } from "../types/policy.ts";
import { withDatabase } from "./with-database.ts";

export interface PolicyQuestion {
  readonly namespace: string;
  readonly app: string;
  readonly trigger: string;
  readonly reason: string;
}

export interface PolicyAnswer extends Explanation, Omit<PolicyInForce, "document"> {
  readonly version: string;
  readonly source: PolicyDocument["source"];
  readonly killed: string | undefined;
  /** Whether the rule's change window is open now. */
  readonly windowOpen: boolean;
}

/** `fettle policy show`. */
export async function policyInForce(env: Environment, log: Log): Promise<PolicyInForce> {
  return withDatabase(env, log, async (database, { policy }) => policyNow(database, policy));
}

/** `fettle policy explain`: which line holds for an alert about an app, and why no other one does. */
export async function explainPolicy(
  env: Environment,
  question: PolicyQuestion,
  log: Log,
): Promise<PolicyAnswer> {
  return withDatabase(env, log, async (database, { policy }) => {
    const { document, ...reading } = await policyNow(database, policy);
    const explanation = explain(document, question, question.trigger, question.reason);
    const killed = await killedBy(question, database);
    const { rows } = await database.query<{ now: Date }>("SELECT now()");
    const windows = explanation.rule?.options.windows ?? [];
    return {
      ...explanation,
      ...reading,
      version: document.sha256,
      source: document.source,
      killed: killed === null ? undefined : `${killed.scope} by ${killed.by}: ${killed.reason}`,
      windowOpen: isOpen(windows, rows[0]?.now ?? new Date(Number.NaN)),
    };
  });
}

/** `fettle policy explain` without a trigger: every rule that may hold for an app. */
export async function policyRulesFor(
  env: Environment,
  place: Pick<PolicyQuestion, "namespace" | "app">,
  log: Log,
): Promise<Omit<PolicyInForce, "document"> & { readonly rules: ReturnType<typeof rulesFor> }> {
  return withDatabase(env, log, async (database, { policy }) => {
    const { document, ...reading } = await policyNow(database, policy);
    return { ...reading, rules: rulesFor(document, place) };
  });
}

export type PolicyCheck =
  | { readonly kind: "sound"; readonly rules: readonly { key: string; rule: PolicyRule }[] }
  | { readonly kind: "broken"; readonly problems: readonly string[] };

/**
 * `fettle policy lint`: a ConfigMap's manifest, the map under its `data`, or a text of rules.
 *
 * @throws Error when the file cannot be read
 */
export async function checkPolicyFile(path: string): Promise<PolicyCheck> {
  const text = await readFile(path, "utf8");
  try {
    const data = mapIn(text);
    const entries =
      data === undefined
        ? [{ key: "env", rules: parseRules(text, actionNames, argumentProblem) }]
        : parsePolicyMap(data, CONTEXT).entries;
    const rules = entries.flatMap(({ key, rules: own }) => own.map((rule) => ({ key, rule })));
    return { kind: "sound", rules };
  } catch (error) {
    const problems = error instanceof PolicyError ? error.problems : [messageOf(error)];
    return { kind: "broken", problems };
  }
}

const CONTEXT: PolicyMapContext = {
  environment: { sha256: "", source: "env", entries: [] },
  actions: actionNames,
  argumentProblem,
};

/** The keys and rules of a ConfigMap or of a map; undefined for a text of rules, which is no map in YAML. */
function mapIn(text: string): Readonly<Record<string, string>> | undefined {
  const content = yamlIn(text);
  if (content === null || typeof content !== "object" || Array.isArray(content)) return undefined;
  const { kind, data = {} } = content as { kind?: unknown; data?: unknown };
  if (kind === undefined) return { "policy.yaml": text };
  if (kind !== "ConfigMap")
    throw new PolicyError([`kind must be ConfigMap, got ${JSON.stringify(kind)}`]);
  const broken = Object.entries(data as object).filter(([, value]) => typeof value !== "string");
  if (broken.length > 0)
    throw new PolicyError(broken.map(([key]) => `key ${JSON.stringify(key)}: must be a text`));
  return data as Record<string, string>;
}

function yamlIn(text: string): unknown {
  try {
    return parse(text, { schema: "core", maxAliasCount: 10 });
  } catch {
    return undefined;
  }
}
