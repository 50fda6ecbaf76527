import { BackendError } from "./error.ts";
import { checkNames } from "./names.ts";
import type { Backend, Call, RawBackend } from "./types.ts";

/** Reads and small writes. */
const DEADLINE_MS = 10_000;
/** What copies files or waits for a container to shut down. */
const LONG_DEADLINE_MS = 120_000;
/** Until a whole file system is packed and its first byte comes. */
const EXPORT_DEADLINE_MS = 3_600_000;

const LONG: ReadonlySet<string> = new Set([
  "containers.create",
  "containers.act",
  "containers.remove",
  "snapshots.create",
  "snapshots.restore",
  "snapshots.remove",
  "snapshots.clone",
  "storage.createPool",
  "storage.removePool",
  "storage.createVolume",
  "storage.removeVolume",
  "clusters.join",
  "clusters.leave",
]);

export interface GuardOptions {
  readonly name: string;
  /** What the backend's own errors mean. A BackendError passes as it is. */
  readonly explain: (error: unknown) => BackendError;
  readonly close: () => Promise<void>;
  /** Of all verbs, for tests. */
  readonly deadlineMs?: number | undefined;
}

type AnyVerb = (request: object, signal: AbortSignal) => Promise<unknown>;

/** A backend of an implementation's verbs: names checked before anything goes out, a deadline on each call, typed errors. */
export function guardBackend(raw: RawBackend, options: GuardOptions): Backend {
  const groups = Object.entries(raw).map(([group, verbs]) => [
    group,
    Object.fromEntries(
      Object.entries(verbs as Record<string, AnyVerb>).map(([verb, work]) => [
        verb,
        guarded(`${group}.${verb}`, work, options),
      ]),
    ),
  ]);
  return {
    ...(Object.fromEntries(groups) as Omit<Backend, "name" | "close">),
    name: options.name,
    close: options.close,
  };
}

function guarded(path: string, work: AnyVerb, { name, explain, deadlineMs }: GuardOptions) {
  const limitMs = deadlineMs ?? deadlineOf(path);
  return async (request: object, { signal: caller }: Call = {}): Promise<unknown> => {
    checkNames(request);
    caller?.throwIfAborted();
    const late = new AbortController();
    const timer = setTimeout(() => {
      const why = `the ${name} backend did not finish within ${limitMs / 1000} s; it may still do it`;
      late.abort(new BackendError("timeout", why));
    }, limitMs);
    const told = (error: unknown): unknown => {
      if (error instanceof BackendError) return error;
      return signal.aborted ? signal.reason : explain(error);
    };
    const signal = caller === undefined ? late.signal : AbortSignal.any([caller, late.signal]);
    try {
      // Raced, because an implementation may be in a step that knows no signal.
      const answer = await Promise.race([work(request, signal), aborted(signal)]);
      return isStream(answer) ? explained(answer, told) : answer;
    } catch (error) {
      throw told(error);
    } finally {
      // From here the signal is the caller's alone: a stream that was opened has no deadline.
      clearTimeout(timer);
    }
  };
}

function deadlineOf(path: string): number {
  if (path === "snapshots.export") return EXPORT_DEADLINE_MS;
  return LONG.has(path) ? LONG_DEADLINE_MS : DEADLINE_MS;
}

async function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = () => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) fail();
    signal.addEventListener("abort", fail, { once: true });
  });
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer;
}

/** A stream may fail long after it was opened. */
async function* explained(
  stream: AsyncIterable<unknown>,
  told: (error: unknown) => unknown,
): AsyncGenerator {
  try {
    yield* stream;
  } catch (error) {
    throw told(error);
  }
}
