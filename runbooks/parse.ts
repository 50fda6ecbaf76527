import type { z } from "zod";
import { alertFrameSchema, alertSchema, type Alert, type AlertFrame } from "../lib/contracts.ts";
import { messageOf } from "../lib/error.ts";
import { inspectJson } from "./inspect-json.ts";

/** Alertmanager's frame is 4 levels deep; JSON.stringify fails at 10,000 (measured), so depth is bounded before parsing. */
const MAX_DEPTH = 32;
const MAX_PROBLEMS_SHOWN = 5;

export type Parsed =
  | {
      readonly kind: "frame";
      readonly frame: AlertFrame;
      /** What is odd about the body: `duplicate_keys` (the last one counts), `replaced_characters`. */
      readonly flags: readonly string[];
    }
  | { readonly kind: "malformed"; readonly problem: string };

/** Bytes of a webhook → alerts, or a sentence that says where and what was expected. Never throws on what a sender can send. */
export function parseFrame(body: Buffer): Parsed {
  const text = decode(body);
  if (text === undefined) return malformed("body: is not valid UTF-8");
  const { tooDeep, duplicateKeys } = inspectJson(text, MAX_DEPTH);
  if (tooDeep) return malformed(`body: is nested deeper than ${MAX_DEPTH} levels`);
  const cleaning = { replaced: false, notFinite: false };
  let value: unknown;
  try {
    value = JSON.parse(text, (_key, member: unknown) => cleanMember(member, cleaning));
  } catch (error) {
    return malformed(`body: is not JSON: ${messageOf(error)}`);
  }
  if (cleaning.notFinite) return malformed("body: holds a number that is too large");
  const parsed = readFrame(value);
  if (parsed.kind === "malformed") return parsed;
  const flags = [
    ...(duplicateKeys ? ["duplicate_keys"] : []),
    ...(cleaning.replaced ? ["replaced_characters"] : []),
  ];
  return { ...parsed, flags };
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
  return { kind: "frame", frame: { ...head.data, alerts }, flags: [] };
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

interface Cleaning {
  replaced: boolean;
  notFinite: boolean;
}

/** PostgreSQL's jsonb refuses NUL and lone surrogates; a 500 for them would make Alertmanager send for ever. */
function cleanMember(value: unknown, cleaning: Cleaning): unknown {
  if (typeof value === "string") return clean(value, cleaning);
  if (typeof value === "number" && !Number.isFinite(value)) cleaning.notFinite = true; // 1e999
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if (Object.keys(value).every((key) => !needsCleaning(key))) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [clean(key, cleaning), member as unknown]),
  );
}

function needsCleaning(text: string): boolean {
  return text.includes("\0") || !text.isWellFormed();
}

function clean(text: string, cleaning: Cleaning): string {
  if (!needsCleaning(text)) return text;
  cleaning.replaced = true;
  return text.toWellFormed().replaceAll("\0", "\u{FFFD}");
}
