import { parseDocument } from "yaml";
import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import type { PolicyDocument, PolicySource } from "../types/policy.ts";
import { parseRules, PolicyError, type ArgumentProblem, type KnownActions } from "./parse.ts";

/** `*` is not legal in a ConfigMap's key; this is, and no namespace or app can be called so. */
const ANY = "_any";
/** Holds a YAML map with the keys as they are meant, `*` included. */
const WHOLE_POLICY = "policy.yaml";
/** The kill switch of those who change policies by Git: `true`, `false`, or the reason. */
const DISABLED = "disabled";
const KEYS_MAX = 2_000;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const APP = /^[A-Za-z0-9]([\w.-]{0,251}[A-Za-z0-9])?$/;

/** A policy that does not change while the service runs. */
export function fixedPolicy(document: PolicyDocument): PolicySource {
  return { current: async () => ({ kind: "known", document }) };
}

/**
 * The policy of a ConfigMap, with the rules of the environment behind it.
 *
 * A key is `<namespace>.<app>` (split at the first dot: a namespace has none), `<namespace>._any`, `_any.<app>` or
 * `default`; or the one key `policy.yaml`, whose value maps `<namespace>.*`, `*.<app>` and so on to rules. The key
 * `disabled` holds no rules: it switches everything off.
 *
 * @throws PolicyError with key, line, column and expectation of every problem
 */
export function parsePolicyMap(
  data: Readonly<Record<string, string>>,
  { environment, actions, argumentProblem }: PolicyMapContext,
): PolicyDocument {
  const problems: string[] = [];
  const { [DISABLED]: stop, ...rules } = data;
  if (stop?.trim() === "") problems.push(`key "${DISABLED}": must be true, false, or the reason`);
  const written = Object.entries(rules).flatMap(([key, value]) =>
    key === WHOLE_POLICY ? entriesOfYaml(value, problems) : [{ name: key, key, value }],
  );
  if (written.length > KEYS_MAX) problems.push(`has more than ${KEYS_MAX} keys: ${written.length}`);
  const names = new Map<string, string>();
  const entries = written.flatMap(({ name, key: spelling, value }) => {
    const key = keyOf(spelling);
    const other = key === undefined ? undefined : names.get(key);
    if (key === undefined) problems.push(`key ${JSON.stringify(name)}: ${KEY_EXPECTED}`);
    if (other !== undefined)
      problems.push(`key ${JSON.stringify(name)}: means the same as ${other}`);
    if (key === undefined || other !== undefined) return [];
    names.set(key, JSON.stringify(name));
    try {
      return [{ key, rules: parseRules(value, actions, argumentProblem) }];
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      problems.push(...error.problems.map((what) => `key ${JSON.stringify(name)}, ${what}`));
      return [];
    }
  });
  if (problems.length > 0) throw new PolicyError(problems);
  entries.sort((left, right) => (left.key < right.key ? -1 : 1));
  return {
    sha256: sha256Hex(canonicalJson({ data, environment: environment.sha256 })),
    source: "configmap",
    ...(stop === undefined || stop.trim() === "false" ? {} : { disabled: stop.trim() }),
    entries: [...entries, ...environment.entries],
  };
}

export interface PolicyMapContext {
  /** The rules of RUNBOOK_AUTOFIX_POLICY. */
  readonly environment: PolicyDocument;
  readonly actions: KnownActions;
  readonly argumentProblem?: ArgumentProblem;
}

const KEY_EXPECTED = `expected <namespace>.<app>, <namespace>.${ANY}, ${ANY}.<app>, default or ${WHOLE_POLICY}`;

/** The key as the contract writes it; undefined for one that means nothing. */
function keyOf(spelling: string): string | undefined {
  if (spelling === "default") return spelling;
  const dot = spelling.indexOf(".");
  if (dot < 0) return undefined;
  const [namespace, app] = [spelling.slice(0, dot), spelling.slice(dot + 1)].map((part) =>
    part === ANY ? "*" : part,
  );
  if (namespace === undefined || app === undefined) return undefined;
  const sound = (namespace === "*" || NAMESPACE.test(namespace)) && (app === "*" || APP.test(app));
  return sound && `${namespace}${app}` !== "**" ? `${namespace}.${app}` : undefined;
}

function entriesOfYaml(text: string, problems: string[]) {
  const yaml = parseDocument(text, { schema: "core", uniqueKeys: true });
  const broken = yaml.errors.map(({ message }) => message.split("\n", 1)[0] ?? "");
  problems.push(...broken.map((message) => `key "${WHOLE_POLICY}": ${message}`));
  if (broken.length > 0) return [];
  const content: unknown = yaml.toJS({ maxAliasCount: 10 });
  if (content === null || typeof content !== "object" || Array.isArray(content)) {
    problems.push(`key "${WHOLE_POLICY}": must be a map of keys to rules`);
    return [];
  }
  return Object.entries(content).flatMap(([key, value]: [string, unknown]) => {
    const name = `${WHOLE_POLICY}: ${key}`;
    if (typeof value === "string") return [{ name, key, value }];
    problems.push(`key ${JSON.stringify(name)}: must be a text of rules`);
    return [];
  });
}
