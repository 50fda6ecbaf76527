import type { Database } from "../../../lib/postgres.ts";
import type { AlertHistory, PastAlert } from "../../backtest/types.ts";

const PORTION = 2_000;

interface EpisodeRow {
  readonly id: string;
  /** The exact time, for the next page: a number of milliseconds has not all of its digits. */
  readonly began: string;
  readonly at: number;
  readonly resolved_at: number | null;
  readonly labels: PastAlert["labels"];
  readonly source: string;
  readonly truncated: boolean;
}

/** The alerts that the service has received, page by page from one snapshot of the database. */
export function storedEpisodes(database: Database): AlertHistory {
  return {
    name: "db",
    read: async function* ({ from, to }) {
      let [began, id] = [new Date(from).toISOString(), "0"];
      const snapshot = await newestId(database);
      for (;;) {
        const { rows } = await database.query<EpisodeRow>(
          `SELECT id, labels, source, truncated, first_starts_at::text AS began,
                  floor(extract(epoch FROM first_starts_at) * 1000)::float8 AS at,
                  floor(extract(epoch FROM resolved_at) * 1000)::float8 AS resolved_at
             FROM episodes
            WHERE (first_starts_at, id) > ($1::timestamptz, $2::bigint)
              AND first_starts_at < $3::timestamptz AND id <= $4::bigint
            ORDER BY first_starts_at, id LIMIT ${PORTION}`,
          [began, id, new Date(to).toISOString(), snapshot],
        );
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows.map(toAlert);
        [began, id] = [last.began, last.id];
      }
    },
  };
}

/** What comes in meanwhile is not part of the past. */
async function newestId(database: Database): Promise<string> {
  const { rows } = await database.query<{ id: string }>(
    "SELECT coalesce(max(id), 0)::text AS id FROM episodes",
  );
  return rows[0]?.id ?? "0";
}

function toAlert({ at, resolved_at, labels, source, truncated }: EpisodeRow): PastAlert {
  return { at, resolvedAt: resolved_at ?? Infinity, labels, source, truncated };
}
