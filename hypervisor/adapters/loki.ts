import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { logqlOf } from "../logs/logql.ts";
import type { LogLine, LogRange, LogStore } from "../logs/types.ts";
import type { Ask } from "./upstream.ts";

/** Loki's own default for the most lines of one answer (`max_entries_limit_per_query`). */
const PAGE_LINES = 5_000;
const SERVICES_MAX = 5_000;

const linesSchema = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("streams"),
    result: z.array(
      z.object({
        stream: z.record(z.string(), z.string()),
        // With structured metadata a third member follows.
        values: z.array(z.tuple([z.string().regex(/^\d{1,19}$/), z.string()], z.unknown())),
      }),
    ),
  }),
});

/** Absent when there are none. */
const namesSchema = z.object({
  status: z.literal("success"),
  data: z.array(z.string()).optional(),
});

/** Logs in Loki. @param label says of which service a stream is */
export function lokiLogs(ask: Ask, label: string): LogStore {
  return {
    services: async (signal) => {
      const answer = await ask(`/loki/api/v1/label/${label}/values`, undefined, signal);
      const parsed = namesSchema.safeParse(answer);
      if (!parsed.success) throw strange();
      return [...(parsed.data.data ?? [])].sort().slice(0, SERVICES_MAX);
    },
    read: async (range, signal) => readPages(ask, label, { range, signal }),
  };
}

interface Reading {
  readonly range: LogRange;
  readonly signal: AbortSignal | undefined;
}

/** As many answers as it takes: a page begins with the nanosecond where the one before ended, whose known lines are left out. */
async function readPages(
  ask: Ask,
  label: string,
  { range, signal }: Reading,
): Promise<readonly LogLine[]> {
  const { direction, limit } = range;
  const lines: LogLine[] = [];
  let { from, to } = range;
  let known = new Set<string>();
  while (lines.length < limit && from < to) {
    const wanted = Math.min(PAGE_LINES, limit - lines.length + known.size);
    const asked = { ...range, from, to, limit: wanted };
    const page = await readPage(ask, label, { range: asked, signal });
    lines.push(...page.filter((line) => !known.has(keyOf(line))));
    const last = page.at(-1)?.at;
    if (page.length < wanted || last === undefined) break;
    known = new Set(page.filter(({ at }) => at === last).map(keyOf));
    // A nanosecond with more lines than a page holds cannot be read on within: on to the next.
    const stuck = known.size === page.length;
    if (direction === "forward") from = stuck ? last + 1n : last;
    else to = stuck ? last : last + 1n;
  }
  return lines.slice(0, limit);
}

async function readPage(
  ask: Ask,
  label: string,
  { range, signal }: Reading,
): Promise<readonly LogLine[]> {
  const { from, to, limit, direction } = range;
  const form = {
    query: logqlOf({ ...range, label }),
    start: String(from),
    end: String(to),
    limit: String(limit),
    direction,
  };
  const parsed = linesSchema.safeParse(await ask("/loki/api/v1/query_range", form, signal));
  if (!parsed.success) throw strange();
  const lines = parsed.data.data.result.flatMap(({ stream, values }) =>
    values.map(([at, text]) => ({ at: BigInt(at), text, labels: stream })),
  );
  const way = direction === "forward" ? 1 : -1;
  return lines.sort((a, b) => way * (a.at < b.at ? -1 : a.at > b.at ? 1 : compareStreams(a, b)));
}

/** Lines of one nanosecond: the same order every time. */
function compareStreams(a: LogLine, b: LogLine): number {
  const [left, right] = [keyOf(a), keyOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function keyOf({ labels, text }: LogLine): string {
  return JSON.stringify([labels, text]);
}

function strange(): HttpProblem {
  return new HttpProblem(502, "Bad gateway", "Loki answered something else than its API says.");
}
