import { badRequest } from "./status.ts";
import type { KubernetesObject } from "./types.ts";

type Labels = Readonly<Record<string, string>>;
type Matcher = (labels: Labels) => boolean;

/**
 * Reads a `labelSelector`: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.
 *
 * @throws StatusError 400 for anything else
 */
export function labelSelector(text: string): (object: KubernetesObject) => boolean {
  const matchers = text
    .split(/,(?![^(]*\))/) // a comma inside parentheses belongs to the list of values
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(requirement);
  return ({ metadata: { labels = {} } }) => matchers.every((matches) => matches(labels));
}

function requirement(text: string): Matcher {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return (labels) => values.includes(labels[key] ?? "") === (operator === "in");
  }
  const equality = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(text);
  if (equality !== null) {
    const [, key = "", operator, value] = equality;
    return (labels) => (labels[key] === value) === (operator !== "!=");
  }
  const presence = /^(!?)([^\s=!()]+)$/.exec(text);
  if (presence === null) throw badRequest(`unable to parse requirement: ${text}`);
  const [, not, key = ""] = presence;
  return (labels) => key in labels === (not === "");
}
