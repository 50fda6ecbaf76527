import { systemClock, type Clock } from "../../../lib/clock.ts";
import { messageOf } from "../../../lib/error.ts";
import { BackendError } from "../error.ts";
import { guardBackend } from "../guard.ts";
import type { Backend, RawBackend } from "../types.ts";
import { memoryContainers } from "./containers.ts";
import { memoryClusters, memoryNetwork, memoryStorage } from "./resources.ts";
import { memorySnapshots } from "./snapshots.ts";
import { memoryLogs, memoryTerminals } from "./streams.ts";
import { createWorld } from "./world.ts";

export interface MemoryOptions {
  readonly clock?: Clock;
  /** Those that containers can be made from; without it every image is there. */
  readonly images?: readonly string[];
}

/** A backend that only remembers: for the demo and for tests. Nothing runs, and a restart forgets everything. */
export function openMemory({ clock = systemClock, images }: MemoryOptions = {}): Backend {
  const world = createWorld(clock, images);
  const raw: RawBackend = {
    host: {
      info: async () => Promise.resolve({ engine: "memory", version: "1" }),
      must: async () => Promise.resolve(),
    },
    containers: memoryContainers(world),
    logs: memoryLogs(world),
    terminals: memoryTerminals(world),
    snapshots: memorySnapshots(world),
    storage: memoryStorage(world),
    network: memoryNetwork(world),
    clusters: memoryClusters(world),
  };
  const explain = (error: unknown) =>
    new BackendError("unavailable", messageOf(error), { cause: error });
  return guardBackend(raw, { name: "memory", explain, close: async () => Promise.resolve() });
}
