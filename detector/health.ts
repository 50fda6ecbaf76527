import { messageOf } from "../lib/error.ts";
import type { Readiness } from "../lib/http.ts";
import type { ChannelName } from "./types/delivery.ts";
import type { Places } from "./types/groups.ts";
import type { WatchedMetric } from "./watched-metric.ts";

type Check = Readiness["checks"][string];

export interface HealthParts {
  readonly watched: readonly WatchedMetric[];
  readonly database: { readonly fault: unknown; readonly waiting: number } | undefined;
  readonly outbox: {
    readonly channels: readonly { readonly name: ChannelName; readonly fault: unknown }[];
  };
  readonly modelSha256: () => string | undefined;
  readonly places: () => Places;
}

/** What the detector can and cannot do now. Without a forest or a database it works on, but says so. */
export function healthOf(parts: HealthParts): () => Promise<Readiness> {
  return () => Promise.resolve(healthNow(parts));
}

function healthNow(parts: HealthParts): Readiness {
  const { watched: metrics, database, outbox, modelSha256 } = parts;
  const places = parts.places();
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
      // A replica that others leave nothing to do is ready; one that waits for its first group is not.
      ok: starting.length === 0 && (metrics.length > 0 || isLeftNothing(places)),
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
    checks: { ...checks, groups: groupsCheck(places), ...channels },
  };
}

/** Who watches what. That nobody watches a group shows, but taking this replica out of service would not help it. */
function groupsCheck({ here, elsewhere, nowhere }: Places): Check {
  const all = here.length + elsewhere.length + nowhere.length;
  const parts = [`${here.length} of ${all} watched here`];
  if (elsewhere.length > 0) parts.push(`by other replicas: ${elsewhere.join(", ")}`);
  if (nowhere.length > 0) parts.push(`by nobody yet: ${nowhere.join(", ")}`);
  return { ok: nowhere.length === 0, detail: parts.join("; ") };
}

function isLeftNothing({ here, elsewhere, nowhere }: Places): boolean {
  return elsewhere.length > 0 && here.length === 0 && nowhere.length === 0;
}
