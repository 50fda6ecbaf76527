import { z } from "zod";
import { revisionOf } from "../revision.ts";
import type { Container, ContainerStatus } from "../types.ts";
import { DISK, givenLabels, projectOf } from "./labels.ts";

const texts = z.array(z.string()).nullish();
const labels = z.record(z.string(), z.string()).nullish();

/** What is used of an inspected container. Docker and Podman differ in what is null, absent or empty. */
export const inspectedSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  Created: z.string(),
  Image: z.string(),
  State: z.object({ Status: z.string(), StartedAt: z.string() }),
  Config: z.object({
    Image: z.string().default(""),
    Labels: labels,
    Env: texts,
    Cmd: texts,
    Entrypoint: z.union([z.string(), z.array(z.string())]).nullish(),
    User: z.string().default(""),
    WorkingDir: z.string().default(""),
    Tty: z.boolean().default(false),
    OpenStdin: z.boolean().default(false),
    ExposedPorts: z.record(z.string(), z.object({})).nullish(),
  }),
  HostConfig: z.object({
    Binds: texts,
    Memory: z.number().default(0),
    NanoCpus: z.number().default(0),
    NetworkMode: z.string().default("default"),
    PortBindings: z
      .record(
        z.string(),
        z.array(z.object({ HostIp: z.string(), HostPort: z.string() })).nullable(),
      )
      .nullish(),
    RestartPolicy: z.object({ Name: z.string(), MaximumRetryCount: z.number() }).nullish(),
    CapAdd: texts,
    CapDrop: texts,
    SecurityOpt: texts,
    PidsLimit: z.number().nullish(),
    Privileged: z.boolean().default(false),
  }),
  NetworkSettings: z.object({
    Networks: z
      .record(z.string(), z.object({ IPAddress: z.string().default(""), Aliases: texts }))
      .nullish(),
  }),
});
export type Inspected = z.infer<typeof inspectedSchema>;

/** Docker's words, and those that only Podman has. */
const STATUSES: Readonly<Record<string, ContainerStatus>> = {
  created: "stopped",
  configured: "stopped",
  initialized: "stopped",
  exited: "stopped",
  stopped: "stopped",
  running: "running",
  paused: "paused",
  restarting: "starting",
  removing: "stopping",
  stopping: "stopping",
  dead: "error",
};

const NANO = 1e9;

export function containerOf(found: Inspected): Container {
  const { State, Config, HostConfig, NetworkSettings, Id: id } = found;
  const all = Config.Labels ?? {};
  const status = STATUSES[State.Status] ?? "unknown";
  const runs = status === "running" || status === "paused";
  const given = givenLabels(all);
  const limits = {
    cpus: HostConfig.NanoCpus > 0 ? HostConfig.NanoCpus / NANO : undefined,
    memoryBytes: HostConfig.Memory > 0 ? HostConfig.Memory : undefined,
  };
  return {
    name: nameOf(found),
    project: projectOf(all),
    id,
    status,
    createdAt: found.Created,
    startedAt: runs ? State.StartedAt : undefined,
    image: Config.Image === "" ? found.Image : Config.Image,
    labels: given,
    ...limits,
    diskBytes: /^\d+$/.test(all[DISK] ?? "") ? Number(all[DISK]) : undefined,
    addresses: Object.values(NetworkSettings.Networks ?? {})
      .map(({ IPAddress }) => IPAddress)
      .filter((address) => address !== ""),
    node: undefined,
    revision: revisionOf({ id, labels: given, ...limits }),
  };
}

/** Docker puts a slash before it. */
function nameOf({ Name }: Inspected): string {
  return Name.replace(/^\//, "");
}

/** As HostConfig has them; only those that were given. Swap as Docker gives it by itself: as much again. */
export function limitsConfig({
  cpus,
  memoryBytes,
}: {
  readonly cpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
}): { NanoCpus?: number; Memory?: number; MemorySwap?: number } {
  return {
    ...(cpus === undefined ? {} : { NanoCpus: Math.round(cpus * NANO) }),
    ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes * 2 }),
  };
}
