import { AsyncLocalStorage } from "node:async_hooks";

const current = new AsyncLocalStorage<string>();

/** The correlation id of the request or run that the caller belongs to. */
export function correlationId(): string | undefined {
  return current.getStore();
}

/** Runs `work` so that its log lines, audit rows and outgoing requests carry `id`. */
export function withCorrelation<T>(id: string, work: () => T): T {
  return current.run(id, work);
}
