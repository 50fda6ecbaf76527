import { z } from "zod";

const NS_PER_MS = 1_000_000n;
const error = "must be RFC 3339 (2026-01-31T12:00:00Z) or seconds since 1970";

/** A moment in a query, in nanoseconds: RFC 3339 with up to nine digits of a second, or seconds since 1970. */
export const momentSchema = z
  .string()
  .max(40, { error })
  .transform((text, context): bigint => {
    const moment = momentOf(text);
    if (moment !== undefined) return moment;
    context.addIssue({ code: "custom", message: error });
    return z.NEVER;
  })
  .meta({ override: { type: "string", description: error } });

function momentOf(text: string): bigint | undefined {
  const seconds = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds !== null) return BigInt(seconds[1] ?? 0) * 1_000_000_000n + fraction(seconds[2]);
  const parts = /^(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(
    text,
  );
  if (parts === null) return undefined;
  const ms = Date.parse(`${parts[1] ?? ""}${parts[3] ?? ""}`.toUpperCase());
  return Number.isNaN(ms) || ms < 0 ? undefined : BigInt(ms) * NS_PER_MS + fraction(parts[2]);
}

function fraction(digits = ""): bigint {
  return BigInt(digits.padEnd(9, "0"));
}

/** RFC 3339, UTC, with all nine digits. */
export function shownMoment(ns: bigint): string {
  const seconds = new Date(Number(ns / NS_PER_MS)).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}
