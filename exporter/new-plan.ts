import type { ExportPlan, PlanChoices, RowRange } from "./types.ts";

/** A plan of which nothing has been done yet. */
export function newPlan(exportId: string, range: RowRange, choices: PlanChoices): ExportPlan {
  return {
    exportId,
    state: "planned",
    range,
    ...choices,
    parts: [],
    manifest: undefined,
    builds: [],
    receipts: [],
  };
}
