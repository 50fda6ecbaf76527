import { alertFrameSchema, type AlertFrame } from "../lib/contracts.ts";
import { messageOf } from "../lib/error.ts";

/** Alertmanager's frame is 4 levels deep; JSON.stringify fails at 10,000 (measured), so depth is bounded before parsing. */
const MAX_DEPTH = 32;
const MAX_PROBLEMS_SHOWN = 5;

export type Parsed =
  | { readonly kind: "frame"; readonly frame: AlertFrame }
  | { readonly kind: "malformed"; readonly problem: string };

/** Bytes of a webhook → alerts, or a sentence that says where and what was expected. Never throws on what a sender can send. */
export function parseFrame(body: Buffer): Parsed {
  const text = decode(body);
  if (text === undefined) return malformed("body: is not valid UTF-8");
  if (depthOf(text) > MAX_DEPTH)
    return malformed(`body: is nested deeper than ${MAX_DEPTH} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text, cleanText);
  } catch (error) {
    return malformed(`body: is not JSON: ${messageOf(error)}`);
  }
  const result = alertFrameSchema.safeParse(value);
  if (result.success) return { kind: "frame", frame: result.data };
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join(".") || "body"}: ${message}`,
  );
  return malformed(problems.slice(0, MAX_PROBLEMS_SHOWN).join("; "));
}

function malformed(problem: string): Parsed {
  return { kind: "malformed", problem };
}

function decode(body: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body); // drops a byte order mark
  } catch {
    return undefined;
  }
}

/** Nesting of brackets outside strings, in one pass over the raw text. A regular expression would need a stack for long strings. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at);
    else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth -= 1;
  }
  return deepest;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

/** PostgreSQL's jsonb refuses NUL and lone surrogates; a 500 for them would make Alertmanager send for ever (F23). */
function cleanText(_key: string, value: unknown): unknown {
  if (typeof value === "string") return clean(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [clean(key), member as unknown]),
  );
}

function clean(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\u{FFFD}");
}
