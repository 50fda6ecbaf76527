import { integer, optional, withDefault, type Config } from "../lib/config.ts";
import { kmsProblems, kmsShape } from "../lib/envelope/config-kms.ts";
import { hasPlace, placeProblems, placeVariables } from "../lib/place-config.ts";

/** Where exported snapshots go. */
export const EXPORT_PLACE = {
  name: "HYPERVISOR_EXPORT",
  what: "exported snapshots",
  otherwise: "none can be exported",
} as const;

const MEGABYTES_MAX = 2_000;

/** Snapshots are sealed by the keys that seal exports of the record, so their variables are the exporter's. */
export const exportVariables = {
  ...placeVariables(EXPORT_PLACE),
  exportPartMegabytes: withDefault(
    "HYPERVISOR_EXPORT_PART_MB",
    integer({ min: 1, max: MEGABYTES_MAX }),
    256,
    "larger snapshots are cut into files of at most so many million bytes, before compression",
  ),
  exportKeepLast: optional(
    "HYPERVISOR_EXPORT_KEEP_LAST",
    integer({ min: 1, max: 10_000 }),
    "so many exports of a container's snapshots are kept, the newest; without it all stay",
  ),
  ...kmsShape,
} as const;

type Settings = Config<typeof exportVariables>;

/** What does not fit together. */
export function exportProblems(settings: Settings): readonly string[] {
  const keys = hasPlace(settings) ? kmsProblems(settings) : [];
  return [...placeProblems(EXPORT_PLACE, settings, "exports"), ...keys];
}
