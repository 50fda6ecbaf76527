import type { Progress } from "./progress-table.ts";
import { ENDED } from "./types.ts";

/** Fewer say nothing. */
const SAMPLES_MIN = 3;

export interface Estimate {
  readonly workflow_id: string;
  readonly status: string;
  /** null: not known, and `reason` says why. */
  readonly estimated_seconds_total: number | null;
  readonly estimated_seconds_remaining: number | null;
  /** RFC 3339. */
  readonly estimated_completion: string | null;
  /** Earlier ones of the same kind that it rests on. */
  readonly based_on: number;
  readonly reason: string;
}

/**
 * When it will have ended, from how long earlier ones of its kind took.
 *
 * @param seconds durations of those, in any order
 */
export function estimate(progress: Progress, seconds: readonly number[], now: Date): Estimate {
  const { workflow_id, status, started_at: startedAt } = progress;
  const unknown = (reason: string): Estimate => ({
    workflow_id,
    status,
    estimated_seconds_total: null,
    estimated_seconds_remaining: null,
    estimated_completion: null,
    based_on: seconds.length,
    reason,
  });
  if (ENDED.has(progress.status)) return unknown(`it has ended: ${status}`);
  if (seconds.length < SAMPLES_MIN)
    return (
      fromPercent(progress, now) ??
      unknown(`unknown: ${seconds.length} of ${SAMPLES_MIN} earlier ones that are needed`)
    );
  const sorted = seconds.toSorted((a, b) => a - b);
  const total = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const longest = sorted.at(-1) ?? 0;
  const elapsed = startedAt === null ? 0 : (now.getTime() - Date.parse(startedAt)) / 1000;
  if (elapsed > longest)
    return (
      fromPercent(progress, now) ??
      unknown(`unknown: it takes longer than each of ${seconds.length} earlier ones`)
    );
  // Past the median, the longest one is what is left to go by.
  const whole = elapsed < total ? total : longest;
  return known(
    unknown(`from the durations of ${seconds.length} earlier ones`),
    whole,
    elapsed,
    now,
  );
}

/** A worker knows how far its workflow is; our own operations tell steps of very different lengths. */
function fromPercent(
  { workflow_id, status, kind, percent_complete: percent, started_at }: Progress,
  now: Date,
): Estimate | undefined {
  if (kind !== "workflow" || percent <= 0 || started_at === null) return undefined;
  const elapsed = (now.getTime() - Date.parse(started_at)) / 1000;
  const estimated = { workflow_id, status, based_on: 0, reason: "from how far it says it is" };
  return known(estimated, (elapsed * 100) / percent, elapsed, now);
}

function known(
  estimated: Pick<Estimate, "workflow_id" | "status" | "based_on" | "reason">,
  total: number,
  elapsed: number,
  now: Date,
): Estimate {
  const remaining = Math.max(total - elapsed, 0);
  return {
    ...estimated,
    estimated_seconds_total: rounded(total),
    estimated_seconds_remaining: rounded(remaining),
    estimated_completion: new Date(now.getTime() + remaining * 1000).toISOString(),
  };
}

function rounded(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
