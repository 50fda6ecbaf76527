import type { z } from "zod";
import { alertFrameSchema, alertSchema, type Alert, type AlertFrame } from "../lib/contracts.ts";
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
  return readFrame(value);
}

/**
 * Alert by alert, and no further than the first that is wrong: the schema would collect a problem for each of a million
 * wrong members.
 */
function readFrame(value: unknown): Parsed {
  const head = alertFrameSchema.safeParse(value);
  if (!head.success) return malformed(describe(head.error.issues));
  const alerts: Alert[] = [];
  for (const [at, raw] of head.data.alerts.entries()) {
    const alert = safely(() => alertSchema.safeParse(raw));
    if (alert === undefined) return malformed(`alerts.${at}: has too many members that are wrong`);
    if (!alert.success) return malformed(describe(alert.error.issues, `alerts.${at}.`));
    alerts.push(alert.data);
  }
  return { kind: "frame", frame: { ...head.data, alerts } };
}

/** Undefined where the schema library itself gives up (its stack ends at some 100,000 problems). */
function safely<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function describe(issues: readonly z.core.$ZodIssue[], prefix = ""): string {
  return issues
    .slice(0, MAX_PROBLEMS_SHOWN)
    .map(
      ({ path, message }) =>
        `${`${prefix}${path.join(".")}`.replace(/\.$/, "") || "body"}: ${message}`,
    )
    .join("; ");
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

/** PostgreSQL's jsonb refuses NUL and lone surrogates; a 500 for them would make Alertmanager send for ever. */
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
