import { once } from "node:events";
import { BackendError } from "../error.ts";
import type { LogLine, LogRequest, RawBackend } from "../types.ts";
import { pretendShell } from "./pretend-shell.ts";
import { find, type MemoryContainer, type World } from "./world.ts";

export function memoryLogs(world: World): RawBackend["logs"] {
  return {
    read: async (request, signal) => lines(find(world, request), request, signal),
  };
}

async function* lines(
  container: MemoryContainer,
  { tail, follow = false }: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { log, watchers } = container;
  const begun = tail === 0 ? [] : log.slice(-tail);
  // By identity, not by index: the oldest lines go meanwhile.
  let last = log.at(-1);
  yield* begun;
  while (follow && container.status !== "stopped") {
    const events = new EventTarget();
    const watcher = () => events.dispatchEvent(new Event("line"));
    watchers.add(watcher);
    try {
      if (log.at(-1) === last) await once(events, "line", { signal });
    } finally {
      watchers.delete(watcher);
    }
    const fresh = last === undefined ? [...log] : log.slice(log.indexOf(last) + 1);
    last = log.at(-1);
    yield* fresh;
  }
}

export function memoryTerminals(world: World): RawBackend["terminals"] {
  return {
    open: async (request, signal) => {
      const container = find(world, request);
      if (container.status === "running")
        return pretendShell({ world, container, request, signal });
      throw new BackendError("conflict", `container ${request.name} is ${container.status}`);
    },
  };
}
