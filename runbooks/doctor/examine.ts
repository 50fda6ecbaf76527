import { messageOf } from "../../lib/error.ts";
import type { DoctorCheck, DoctorResult } from "./types.ts";

/** Each area has its own time: one that hangs does not keep the others. */
const CHECK_TIMEOUT_MS = 15_000;

/** Makes all checks at once, and tells their results in the order of the checks. Never rejects. */
export async function examine(
  checks: readonly DoctorCheck[],
  {
    redact,
    timeoutMs = CHECK_TIMEOUT_MS,
  }: {
    /** Takes secrets out of a text: an error may quote an address. */
    readonly redact: (text: string) => string;
    readonly timeoutMs?: number;
  },
): Promise<readonly DoctorResult[]> {
  const found = await Promise.all(
    checks.map(async (check): Promise<readonly DoctorResult[]> => {
      const { area, what, look } = check;
      try {
        const looks = await inTime(look, timeoutMs);
        return looks.map((each) => ({ area, ...each }));
      } catch (error) {
        return [{ area, what, result: "failed", detail: causesOf(error) }];
      }
    }),
  );
  return found.flat().map((each) => ({ ...each, detail: redact(each.detail) }));
}

async function inTime<T>(look: (signal: AbortSignal) => Promise<T>, ms: number): Promise<T> {
  const signal = AbortSignal.timeout(ms);
  return Promise.race([
    look(signal),
    new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => {
        reject(new Error(`no answer within ${ms / 1000} s`));
      });
    }),
  ]);
}

/** `fetch failed` says nothing; its cause does. */
function causesOf(error: unknown): string {
  const texts: string[] = [];
  let next: unknown = error;
  while (next !== undefined && next !== null && texts.length < 4) {
    const text = messageOf(next) || (next as { readonly code?: string }).code || "";
    if (text !== "" && !texts.some((told) => told.includes(text))) texts.push(text);
    next = (next as { readonly cause?: unknown }).cause;
  }
  return texts.join(": ").slice(0, 500);
}
