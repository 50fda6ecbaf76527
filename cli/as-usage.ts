import { CommandFailure, EXIT } from "./exit-code.ts";

/** A text that a tool cannot take is the caller's mistake, and its RangeError says which. */
export async function asUsage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RangeError) throw new CommandFailure(EXIT.usage, error.message);
    throw error;
  }
}

/** `--limit`. @throws CommandFailure */
export function limitOf(text: string, max = 1_000): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= max) return limit;
  throw new CommandFailure(
    EXIT.usage,
    `--limit must be an integer from 1 to ${max}, got ${JSON.stringify(text)}`,
  );
}

/** A sender's text must not move the cursor, or look like another line. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "\u{FFFD}");
}
