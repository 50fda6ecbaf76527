import type { Clock } from "../../lib/clock.ts";

/** Rows of the record that strangers can cause, per minute: they cost them nothing, and the table is for ever. */
const ROWS_PER_MINUTE = 60;

/** @returns whether one more may be written now; counted by each process for itself */
export function rowsPerMinute(clock: Pick<Clock, "now">): () => boolean {
  let minute = 0;
  let rows = 0;
  return () => {
    const now = Math.floor(clock.now().getTime() / 60_000);
    if (now !== minute) [minute, rows] = [now, 0];
    rows += 1;
    return rows <= ROWS_PER_MINUTE;
  };
}
