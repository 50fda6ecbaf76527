import { messageOf } from "../lib/error.ts";
import type { Readiness } from "../lib/http.ts";
import type { ChannelName } from "./types.ts";
import type { WatchedMetric } from "./watched-metric.ts";

type Check = Readiness["checks"][string];

export interface HealthParts {
  readonly watched: readonly WatchedMetric[];
  readonly database: { readonly fault: unknown; readonly waiting: number } | undefined;
  readonly outbox: {
    readonly channels: readonly { readonly name: ChannelName; readonly fault: unknown }[];
  };
  readonly modelSha256: () => string | undefined;
}

/** What the detector can and cannot do now. Without a forest or a database it works on, but says so. */
export function healthOf(parts: HealthParts): () => Promise<Readiness> {
  return () => Promise.resolve(healthNow(parts));
}

function healthNow({ watched: metrics, database, outbox, modelSha256 }: HealthParts): Readiness {
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
    model: { ok: true, detail: modelSha256() ?? "none: mean of the features" },
  };
  const channels: Record<string, Check> = {};
  for (const { name, fault } of outbox.channels) {
    channels[name] = {
      ok: fault === undefined,
      detail: fault === undefined ? "" : messageOf(fault),
    };
  }
  return {
    // Receivers are not ours: their trouble shows, but taking us out of service would not help them.
    ready: Object.values(checks).every(({ ok }) => ok),
    checks: { ...checks, ...channels },
  };
}
