import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

export const CORRELATION_HEADER = "X-Correlation-ID";

const current = new AsyncLocalStorage<string>();

/** The correlation id of the request or run that the caller belongs to. */
export function correlationId(): string | undefined {
  return current.getStore();
}

/** Runs `work` so that its log lines, audit rows and outgoing requests carry `id`. */
export function withCorrelation<T>(id: string, work: () => T): T {
  return current.run(id, work);
}

/** The one that a caller gave, or a new one: it goes into logs and audit rows, so only what cannot do harm there is taken over. */
export function correlationIdOf(given: unknown): string {
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
