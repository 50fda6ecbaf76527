import { z } from "zod";
import type { Snapshot } from "../backends/types.ts";

/** As the API shows a snapshot. */
export const snapshotSchema = z
  .object({
    name: z.string(),
    container: z.string(),
    created_at: z.string(),
    comment: z.string(),
    size_bytes: z.number().nullable(),
  })
  .meta({ id: "Snapshot" });

export function shownSnapshot({
  name,
  container,
  createdAt,
  comment,
  sizeBytes,
}: Snapshot): z.input<typeof snapshotSchema> {
  return { name, container, created_at: createdAt, comment, size_bytes: sizeBytes ?? null };
}
