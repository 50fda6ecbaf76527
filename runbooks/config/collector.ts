import { integer, withDefault, type Config } from "../../lib/config.ts";
import { hasPlace, placeProblems, placeVariables } from "../../lib/place-config.ts";

const PLACE = {
  name: "COLLECTOR",
  what: "the diagnostics of runs",
  otherwise: "the database keeps 256 KiB of each",
} as const;

/** Where the diagnostics of runs go. */
export const collectorVariables = {
  ...placeVariables(PLACE),
  collectorLinkHours: withDefault(
    "COLLECTOR_LINK_HOURS",
    integer({ min: 0, max: 168 }),
    24,
    "how long a link to the diagnostics in a bucket works for whoever has it; 0 for no such links",
  ),
} as const;

type Settings = Config<typeof collectorVariables>;

export function collectorProblems(settings: Settings): readonly string[] {
  return placeProblems(PLACE, settings, "diagnostics");
}

/** Who may not do anything, and has nowhere to put what he finds, does not ask the cluster. */
export function collects(settings: Settings & { readonly enabled: boolean }): boolean {
  return settings.enabled || hasPlace(settings);
}
