import type { Express } from "express";
import { leadingStream } from "./explain.ts";
import type { Anomaly } from "./types.ts";

const LISTED_MAX = 100;

/** GET /anomalies: the latest 100, newest first, with all of their evidence. */
export function addRoutes(
  app: Express,
  { recent }: { readonly recent: (limit: number) => Promise<readonly Anomaly[]> },
): void {
  app.get("/anomalies", async (_request, response) => {
    const anomalies = await recent(LISTED_MAX);
    response.json({ anomalies: anomalies.map(viewOf) });
  });
}

/** Times as RFC 3339: milliseconds are for machines. */
function viewOf(anomaly: Anomaly): Readonly<Record<string, unknown>> {
  return {
    ...anomaly,
    leadingStream: leadingStream(anomaly.evidence.opening),
    openedAt: time(anomaly.openedAt),
    lastSeenAt: time(anomaly.lastSeenAt),
    closedAt: time(anomaly.closedAt),
  };
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
