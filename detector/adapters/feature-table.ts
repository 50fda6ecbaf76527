import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { from as copyFrom } from "pg-copy-streams";
import type { Database } from "../../lib/postgres.ts";
import type { FeatureRow, FeatureTable } from "../types/store.ts";

const COPY = "COPY aiops_features (time, metric, series, value, features, score) FROM STDIN";

/** The partitioned table of scored points (sql/0004_detector_service.sql). Errors of the driver come through unchanged. */
export function openFeatureTable(database: Database): FeatureTable {
  const known = new Set<string>();
  return {
    write: async (rows) => {
      for (const day of new Set(rows.map(({ time }) => dayOf(time)))) {
        if (known.has(day)) continue;
        await database.query("SELECT aiops_features_add_day($1)", [day]);
        known.add(day);
      }
      await database.withConnection(async (client) => {
        await pipeline(Readable.from(rows.map(lineOf)), client.query(copyFrom(COPY)));
      });
    },
    dropBefore: async (day) => {
      known.clear();
      const { rows } = await database.query<{ dropped: number }>(
        "SELECT aiops_features_drop_before($1) AS dropped",
        [dayOf(day.getTime())],
      );
      return rows[0]?.dropped ?? 0;
    },
  };
}

/** The UTC day, as the partitions are cut. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** COPY's text format: columns apart by tabs, and nothing in a column that looks like a separator. */
function lineOf({ time, metric, series, value, features, score }: FeatureRow): string {
  const columns = [
    new Date(time).toISOString(),
    escapeText(metric),
    escapeText(series),
    String(value),
    `{${features.join(",")}}`,
    String(score),
  ];
  return `${columns.join("\t")}\n`;
}

function escapeText(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("\t", "\\t")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r");
}
