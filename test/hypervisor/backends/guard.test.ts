import { expect, test } from "@jest/globals";
import { BackendError } from "../../../hypervisor/backends/error.ts";
import { guardBackend } from "../../../hypervisor/backends/guard.ts";
import type {
  Backend,
  Container,
  LogLine,
  RawBackend,
} from "../../../hypervisor/backends/types.ts";
import { kindOf } from "./contract/subject.ts";

const PLACE = { project: "default", name: "a" };

/** A backend with one verb of a test's own. */
function given(raw: {
  readonly get?: (signal: AbortSignal) => Promise<Container>;
  readonly read?: (signal: AbortSignal) => Promise<AsyncIterable<LogLine>>;
}): Backend {
  const groups = {
    containers: {
      get: async (_request: object, signal: AbortSignal) => raw.get?.(signal),
    },
    logs: { read: async (_request: object, signal: AbortSignal) => raw.read?.(signal) },
  };
  return guardBackend(groups as unknown as RawBackend, {
    name: "slow",
    explain: (error) => new BackendError("unavailable", `explained: ${String(error)}`),
    close: async () => Promise.resolve(),
    deadlineMs: 50,
  });
}

test("a call that hangs ends at its deadline, which says that it may still happen", async () => {
  const backend = given({ get: async () => new Promise(() => undefined) });

  const asked = backend.containers.get(PLACE);

  await expect(asked).rejects.toThrow(
    "the slow backend did not finish within 0.05 s; it may still do it",
  );
  expect(await kindOf(asked)).toBe("timeout");
});

test("the caller's abort reaches the implementation, and comes back as it is", async () => {
  const seen: unknown[] = [];
  const backend = given({
    get: async (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          seen.push(signal.reason);
          reject(new Error("socket closed"));
        });
      }),
  });
  const caller = new AbortController();
  const gone = new Error("the client is gone");

  const asked = backend.containers.get(PLACE, { signal: caller.signal });
  caller.abort(gone);

  await expect(asked).rejects.toBe(gone);
  expect(seen).toEqual([gone]);
  const late = backend.containers.get(PLACE, { signal: caller.signal });
  await expect(late).rejects.toBe(gone);
  expect(seen).toHaveLength(1); // it was not asked again
});

test("what an implementation throws is explained, before and in the middle of a stream", async () => {
  const failing = given({ get: async () => Promise.reject(new Error("ECONNREFUSED")) });
  await expect(failing.containers.get(PLACE)).rejects.toThrow("explained: Error: ECONNREFUSED");

  const line: LogLine = { at: undefined, stream: "stdout", text: "one" };
  async function* broken(): AsyncGenerator<LogLine> {
    yield await Promise.resolve(line);
    throw new Error("cut");
  }
  const backend = given({ read: async () => Promise.resolve(broken()) });
  const seen: LogLine[] = [];
  const reading = (async () => {
    for await (const each of await backend.logs.read({ ...PLACE, tail: 1 })) seen.push(each);
  })();

  await expect(reading).rejects.toThrow("explained: Error: cut");
  expect(seen).toEqual([line]);
});

test("a stream that was opened in time has no deadline", async () => {
  const opened: AbortSignal[] = [];
  async function* slow(): AsyncGenerator<LogLine> {
    await new Promise((resolve) => setTimeout(resolve, 150));
    yield { at: undefined, stream: "stdout", text: "late" };
  }
  const backend = given({
    read: async (signal) => {
      opened.push(signal);
      return Promise.resolve(slow());
    },
  });

  const texts: string[] = [];
  for await (const { text } of await backend.logs.read({ ...PLACE, tail: 1 })) texts.push(text);

  expect(texts).toEqual(["late"]);
  expect(opened.map(({ aborted }) => aborted)).toEqual([false]);
});
