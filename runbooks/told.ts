import { createHash } from "node:crypto";
import { canonicalJson } from "../lib/canonical.ts";
import type { Alert } from "../lib/contracts.ts";

/** What a delivery tells, with at most one firing and one resolved of an alert. */
export interface Told {
  readonly firing: readonly ToldAlert[];
  readonly resolved: readonly ToldAlert[];
}

/** One alert of a delivery, under the key that it has in the database. */
export interface ToldAlert {
  readonly fingerprint: string;
  readonly labels: Alert["labels"];
  readonly annotations: Alert["annotations"];
  readonly startsAt: string;
  /** Undefined: now. */
  readonly endsAt: string | undefined;
}

/** Sorts a delivery's alerts. Of one that is told twice the latest counts: a statement can write a row only once. */
export function sortAlerts(alerts: readonly Alert[]): Told {
  const firing = new Map<string, ToldAlert>();
  const resolved = new Map<string, ToldAlert>();
  for (const alert of alerts) {
    const { labels, annotations, startsAt } = alert;
    const endsAt = alert.endsAt.startsWith("0001-") ? undefined : alert.endsAt;
    const told = { fingerprint: fingerprintOf(alert), labels, annotations, startsAt, endsAt };
    if (alert.status === "firing") keepLatest(firing, told, ({ startsAt: at }) => at);
    else keepLatest(resolved, told, ({ endsAt: at = "9999-12-31T23:59:59Z" }) => at);
  }
  return { firing: [...firing.values()], resolved: [...resolved.values()] };
}

function keepLatest(
  kept: Map<string, ToldAlert>,
  told: ToldAlert,
  timeOf: (alert: ToldAlert) => string,
): void {
  const present = kept.get(told.fingerprint);
  if (present === undefined || Date.parse(timeOf(present)) < Date.parse(timeOf(told)))
    kept.set(told.fingerprint, told);
}

/** Alertmanager's fingerprint where it is sent; a hash of the labels where it is not (Grafana's test button). */
function fingerprintOf({ fingerprint, labels }: Alert): string {
  return fingerprint === ""
    ? createHash("sha256").update(canonicalJson(labels)).digest("hex").slice(0, 16)
    : fingerprint;
}
