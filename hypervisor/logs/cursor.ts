import { z } from "zod";
import { parseJson } from "../../lib/parse-json.ts";
import type { Mark } from "./feed.ts";

/** Where a reader stands: in a feed's ring while that feed lives, and in the store always. */
export interface Cursor extends Mark {
  readonly epoch: string;
  /** Number of the next line in the ring; -1 when the reader is not that far. */
  readonly next: number;
}

const CURSOR_MAX = 1_500;

const partsSchema = z.tuple([
  z.string().max(16),
  z.int().min(-1),
  z.string().regex(/^\d{1,19}$/),
  z.array(z.string().max(16)).max(64),
]);

/** As an answer carries it: nobody needs to understand it. */
export function writeCursor({ epoch, next, high, tops }: Cursor): string {
  return Buffer.from(JSON.stringify([epoch, next, String(high), tops])).toString("base64url");
}

const badCursor = { error: "must be the cursor of a message of this log" };

/** `?cursor=`. */
export const cursorSchema = z
  .string()
  .max(CURSOR_MAX, badCursor)
  .transform((text, context): Cursor => {
    const parts = partsSchema.safeParse(parseJson(Buffer.from(text, "base64url").toString("utf8")));
    if (parts.success) {
      const [epoch, next, high, tops] = parts.data;
      return { epoch, next, high: BigInt(high), tops };
    }
    context.addIssue({ code: "custom", message: badCursor.error });
    return z.NEVER;
  });
