import type { CollectorGate } from "./types/collect.ts";

/** No runbook collects anything yet. */
export function openCollector(): CollectorGate {
  return { begin: async () => false, settled: async () => true };
}
