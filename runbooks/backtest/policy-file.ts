import { parseDocument } from "yaml";
import { sha256Hex } from "../../lib/canonical.ts";
import { parsePolicyMap, type PolicyMapContext } from "../policy/document.ts";
import { parsePolicy } from "../policy/parse.ts";
import type { PolicyDocument } from "../types/policy.ts";

/** The key of a ConfigMap whose value is a YAML map with the keys as they are meant. */
const WHOLE_POLICY = "policy.yaml";

/**
 * A policy as a file: the manifest of its ConfigMap, a YAML map of keys (`shop.*: crashloop=restart_pods`), or nothing but
 * rules. Behind the keys of a map stand the rules of the environment, as they do behind the ConfigMap.
 *
 * @throws PolicyError with key, line and column of every problem
 */
export function parsePolicyFile(text: string, context: PolicyMapContext): PolicyDocument {
  const yaml = parseDocument(text, { schema: "core", uniqueKeys: true });
  const content: unknown = yaml.errors.length === 0 ? yaml.toJS({ maxAliasCount: 10 }) : undefined;
  const document = isMap(content)
    ? parsePolicyMap(dataOf(content, text), context)
    : parsePolicy(text, context.actions, context.argumentProblem);
  return { ...document, sha256: sha256Hex(`${document.sha256}\n${text}`), source: "file" };
}

function dataOf(
  content: Readonly<Record<string, unknown>>,
  text: string,
): Readonly<Record<string, string>> {
  const { kind } = content;
  const data = kind === "ConfigMap" ? content["data"] : content;
  if (!isMap(data) || (data === content && !Object.hasOwn(content, WHOLE_POLICY)))
    return { [WHOLE_POLICY]: text };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, String(value)]));
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
