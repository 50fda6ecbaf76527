import { messageOf } from "../lib/error.ts";
import { parse } from "yaml";
import { z } from "zod";
import type { Kind } from "../lib/config.ts";
import type { MetricQuery } from "./types/source.ts";

/** A metric's name becomes a label value, part of a policy key (`name:reason`) and of a URL. */
const NAME = /^[a-zA-Z_][a-zA-Z0-9_.-]{0,99}$/;

const listSchema = z.record(z.string(), z.string());

/** `name=PromQL;name=PromQL`, or a JSON object `{"name": "PromQL"}`. */
export const metricList: Kind<readonly MetricQuery[]> = z.string().transform((text, context) => {
  try {
    return text.trimStart().startsWith("{") ? fromObject(parse(text)) : fromPairs(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: messageOf(error) });
    return z.NEVER;
  }
});

/** The YAML (or JSON) of AIOPS_METRICS_FILE: a mapping of name to PromQL. Throws an Error naming the entry. */
export function parseMetricFile(text: string): readonly MetricQuery[] {
  return fromObject(parse(text));
}

function fromObject(value: unknown): readonly MetricQuery[] {
  const parsed = listSchema.safeParse(value);
  if (!parsed.success) {
    const at = parsed.error.issues[0]?.path.join(".");
    throw new Error(
      at === undefined || at === ""
        ? "must be a mapping of name to PromQL"
        : `entry "${at}" must be a PromQL text`,
    );
  }
  return checked(Object.entries(parsed.data));
}

function fromPairs(text: string): readonly MetricQuery[] {
  const entries = splitOutsideQuotes(text).map((entry): [string, string] => {
    const at = entry.indexOf("=");
    if (at < 0) throw new Error(`entry "${entry}" is not name=PromQL`);
    return [entry.slice(0, at).trim(), entry.slice(at + 1)];
  });
  return checked(entries);
}

function checked(entries: readonly (readonly [string, string])[]): readonly MetricQuery[] {
  if (entries.length === 0) throw new Error("must name at least one metric");
  const names = new Set<string>();
  return entries.map(([name, expr]) => {
    if (!NAME.test(name)) {
      throw new Error(`entry "${name}" has a name that is not ${NAME.source}`);
    }
    if (names.has(name)) throw new Error(`entry "${name}" stands there twice`);
    if (expr.trim() === "") throw new Error(`entry "${name}" has no PromQL`);
    names.add(name);
    return { name, expr: expr.trim() };
  });
}

/** Splits at semicolons; one inside a PromQL string (a regular expression, say) does not count. */
function splitOutsideQuotes(text: string): readonly string[] {
  const entries = text.match(/(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|[^;])+/g) ?? [];
  return entries.map((entry) => entry.trim()).filter((entry) => entry !== "");
}
