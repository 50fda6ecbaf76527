import { z } from "zod";
import { guardBackend } from "../guard.ts";
import type { Backend } from "../types.ts";
import { lxdClient, type LxdAddress } from "./client.ts";
import { lxdClusters } from "./cluster.ts";
import { lxdContainers } from "./containers.ts";
import { explainLxd } from "./explain.ts";
import { lxdLogs } from "./logs.ts";
import { lxdNetwork } from "./network.ts";
import { lxdSnapshots } from "./snapshots.ts";
import { lxdStorage } from "./storage.ts";
import { lxdTerminals } from "./terminals.ts";

export interface LxdOptions {
  /** How problems name it. Incus kept the API, so that it is the same code. */
  readonly name: "lxd" | "incus";
  readonly address: LxdAddress;
  readonly deadlineMs?: number;
}

const serverSchema = z.object({
  environment: z.object({ server: z.string(), server_version: z.string() }),
});

/** LXD or Incus. Nothing is asked before the first call. */
export function openLxd({ name, address, deadlineMs }: LxdOptions): Backend {
  const client = lxdClient(address);
  const raw = {
    host: {
      info: async (_request: object, signal: AbortSignal) => {
        const { environment } = await client.read(serverSchema, { path: "/1.0", signal });
        return { engine: environment.server, version: environment.server_version };
      },
      must: async () => Promise.resolve(),
    },
    containers: lxdContainers(client),
    logs: lxdLogs(client),
    terminals: lxdTerminals(client),
    snapshots: lxdSnapshots(client),
    storage: lxdStorage(client),
    network: lxdNetwork(client),
    clusters: lxdClusters(client),
  };
  const close = async () => client.close();
  const explain = (error: unknown) => explainLxd(name, error);
  return guardBackend(raw, { name, explain, close, deadlineMs });
}
