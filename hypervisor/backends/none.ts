import { BackendError } from "./error.ts";
import { guardBackend } from "./guard.ts";
import type { Backend, RawBackend } from "./types.ts";

const refuse = async (): Promise<never> =>
  Promise.reject(
    new BackendError("unsupported", "no backend runs containers here: set HYPERVISOR_BACKEND"),
  );

const raw: RawBackend = {
  host: { info: refuse, must: refuse },
  containers: {
    list: refuse,
    get: refuse,
    create: refuse,
    update: refuse,
    act: refuse,
    remove: refuse,
  },
  logs: { read: refuse },
  terminals: { open: refuse },
  snapshots: {
    list: refuse,
    create: refuse,
    restore: refuse,
    remove: refuse,
    clone: refuse,
    export: refuse,
  },
  storage: {
    pools: refuse,
    createPool: refuse,
    removePool: refuse,
    volumes: refuse,
    createVolume: refuse,
    removeVolume: refuse,
  },
  network: { bridges: refuse, createBridge: refuse, removeBridge: refuse, interfaces: refuse },
  clusters: { info: refuse, nodes: refuse, join: refuse, leave: refuse },
};

/** Where none is configured: every verb says so. */
export function openNone(): Backend {
  const explain = (cause: unknown) => new BackendError("unavailable", "no backend", { cause });
  return guardBackend(raw, { name: "none", explain, close: async () => Promise.resolve() });
}
