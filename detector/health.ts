import { messageOf } from "../lib/error.ts";
import type { Readiness } from "../lib/http.ts";
import type { WatchedMetric } from "./watched-metric.ts";

export interface HealthParts {
  readonly watched: readonly WatchedMetric[];
  readonly database: { readonly fault: unknown; readonly waiting: number } | undefined;
  readonly webhook: { readonly fault: unknown } | undefined;
  readonly modelSha256: string | undefined;
}

/** What the detector can and cannot do now. Without a forest or a database it works on, but says so. */
export function healthOf(parts: HealthParts): () => Promise<Readiness> {
  return () => Promise.resolve(healthNow(parts));
}

function healthNow({ watched: metrics, database, webhook, modelSha256 }: HealthParts): Readiness {
  const failing = metrics.filter(({ fault }) => fault !== undefined);
  const starting = metrics.filter((metric) => metric.evaluatedUntil < metric.silentUntil);
  const checks = {
    prometheus: {
      ok: failing.length === 0,
      detail: failing
        .map(({ query, fault }) => `${query.name}: ${fault?.kind ?? ""} ${fault?.message ?? ""}`)
        .join("; "),
    },
    history: {
      ok: metrics.length > 0 && starting.length === 0,
      detail: starting.map(({ query }) => `${query.name}: being read`).join("; "),
    },
    database: {
      ok: database?.fault === undefined,
      detail:
        database === undefined
          ? "not configured"
          : database.fault === undefined
            ? ""
            : `does not answer, ${database.waiting} writes wait`,
    },
    webhook: {
      ok: webhook?.fault === undefined,
      detail: webhook === undefined ? "not configured" : faultOf(webhook.fault),
    },
    model: { ok: true, detail: modelSha256 ?? "none: mean of the features" },
  };
  return { ready: Object.values(checks).every(({ ok }) => ok), checks };
}

function faultOf(error: unknown): string {
  return error === undefined ? "" : messageOf(error);
}
