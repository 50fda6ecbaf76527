import type { AuditEntry } from "./audit.ts";
import { matchRunbook, targetOf } from "./match.ts";
import type { Wish } from "./place.ts";
import type { ToldAlert } from "./told.ts";
import type { Runbook } from "./types/intake.ts";
import type { Trigger } from "./types/run.ts";

/** Grafana's word that a rule could not be evaluated: its labels say nothing about the health of what they name. */
const NO_DATA: ReadonlySet<string> = new Set(["DatasourceNoData", "DatasourceError"]);
/** Audit rows of one delivery about alerts that no run came of; the last tells how many more there were. */
const NO_RUN_ROWS_MAX = 20;

/** An alert that a runbook is for, and for which nothing may be done. */
export interface Refused {
  readonly kind: "refused";
  readonly event: "skipped_target" | "skipped_not_allowed";
  readonly why: string;
  readonly runbook: string;
  readonly labels: ToldAlert["labels"];
}

export type WishFinding =
  { readonly kind: "none" } | Refused | { readonly kind: "wish"; readonly wish: Wish };

export interface WishDeps {
  readonly catalog: readonly Runbook[];
  readonly cluster: string;
  readonly sourceNamespacesOf: (source: string) => readonly string[] | null;
}

/** What a firing alert asks for: match a runbook → may its sender speak for this namespace? → find the target. */
export function wishOf(
  alert: Pick<ToldAlert, "labels" | "annotations" | "startsAt"> & {
    readonly source: string;
    readonly truncated: boolean;
  },
  { catalog, cluster, sourceNamespacesOf }: WishDeps,
): WishFinding {
  const runbook = matchRunbook(catalog, alert);
  if (runbook === undefined) return { kind: "none" };
  const own = new Map(Object.entries(alert.labels)); // a Map: a label may be called "constructor"
  const refused = (event: Refused["event"], why: string): Refused => ({
    kind: "refused",
    event,
    why,
    runbook: runbook.id,
    labels: alert.labels,
  });
  const alertname = own.get("alertname") ?? "";
  if (NO_DATA.has(alertname))
    return refused("skipped_target", `${alertname} says that Grafana does not know`);
  const found = targetOf(alert, cluster);
  if (found.kind === "none") return refused("skipped_target", found.why);
  const allowed = sourceNamespacesOf(alert.source);
  // Here, and not only where it is decided: a run that is refused there would keep the target at rest for its real senders.
  if (allowed?.includes(found.target.namespace) === false) {
    const { namespace } = found.target;
    return refused("skipped_not_allowed", `${alert.source} may not speak for ${namespace}`);
  }
  const trigger: Trigger = {
    trigger: runbook.trigger ?? own.get("metric") ?? runbook.id,
    reason: own.get("reason") ?? "",
    alertname,
    source: alert.source,
    labels: alert.labels,
    annotations: alert.annotations,
    startsAt: alert.startsAt,
    truncated: alert.truncated,
  };
  return { kind: "wish", wish: { runbook, target: found.target, trigger } };
}

/** One audit row for each reason, with the first alert as its example and how many there were. */
export function noRunEntries(source: string, refused: readonly Refused[]): readonly AuditEntry[] {
  const groups = [
    ...Map.groupBy(refused, ({ event, runbook, why }) => `${event} ${runbook} ${why}`).values(),
  ];
  const told = groups.slice(0, NO_RUN_ROWS_MAX);
  const untold = groups.slice(NO_RUN_ROWS_MAX).flat().length;
  return told.flatMap((alerts, at) => {
    const [example] = alerts;
    if (example === undefined) return [];
    const { event, runbook, why, labels } = example;
    const more = at === told.length - 1 && untold > 0 ? { more_alerts_of_other_kinds: untold } : {};
    const detail = { runbook, why, labels, alerts: alerts.length, ...more };
    return [{ subject: NO_RUN, event, actor: source, detail }];
  });
}

/** An audit row about an alert that no run came of. */
const NO_RUN = { id: null, namespace: null, app: null, targetKey: null } as const;
