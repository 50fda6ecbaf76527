import { exportOnce, type ExporterConfig, type ExportResult } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import type { Trail } from "./given-trail.ts";
import { addRows } from "./given.ts";

/** An export of one new row that is so many days old. */
export async function givenExportOf(
  days: number,
  { client }: Trail,
  config: ExporterConfig,
): Promise<ExportResult> {
  await addRows(client, 1);
  const result = await exportOnce(config, silentLog);
  await client.query(
    "UPDATE audit_exports SET cutoff = now() - $2 * interval '1 day' WHERE export_id = $1",
    [result.exportId, days],
  );
  return result;
}
