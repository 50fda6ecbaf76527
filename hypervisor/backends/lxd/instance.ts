import { z } from "zod";
import { revisionOf } from "../revision.ts";
import type { Container, ContainerStatus } from "../types.ts";
import { bytesOf, limitsOf, type LxdConfig } from "./limits.ts";

const addressSchema = z.object({ family: z.string(), address: z.string(), scope: z.string() });

/** What is used of LXD's instances; `state` comes with recursion=2 only. */
export const instanceSchema = z.object({
  name: z.string(),
  project: z.string().default("default"),
  status_code: z.number(),
  created_at: z.string(),
  last_used_at: z.string().default(""),
  location: z.string().default(""),
  config: z.record(z.string(), z.string()).default({}),
  expanded_config: z.record(z.string(), z.string()).default({}),
  expanded_devices: z.record(z.string(), z.record(z.string(), z.string())).default({}),
  state: z
    .object({
      started_at: z.string().optional(),
      network: z.record(z.string(), z.object({ addresses: z.array(addressSchema) })).nullish(),
    })
    .nullish(),
});
type Instance = z.infer<typeof instanceSchema>;

export const LABEL_PREFIX = "user.fettle.label.";
/** What was asked for: LXD itself only keeps a fingerprint. */
export const IMAGE_KEY = "user.fettle.image";

/** LXD's api.StatusCode. */
const STATUSES: Readonly<Record<number, ContainerStatus>> = {
  102: "stopped",
  103: "running",
  106: "starting",
  107: "stopping",
  108: "stopping", // aborting
  109: "paused", // freezing
  110: "paused",
  111: "running", // thawed
  112: "error",
};

/** An instance as the port has it. */
export function containerOf(instance: Instance): Container {
  const config: LxdConfig = instance.config;
  const status = STATUSES[instance.status_code] ?? "unknown";
  const id = config["volatile.uuid"] ?? "";
  const labels = labelsOf(config);
  const limits = limitsOf(instance.expanded_config);
  return {
    name: instance.name,
    project: instance.project,
    id,
    status,
    createdAt: instance.created_at,
    startedAt: startOf(instance, status),
    image: config[IMAGE_KEY] ?? config["image.description"] ?? config["volatile.base_image"],
    labels,
    ...limits,
    diskBytes: diskOf(instance),
    addresses: addressesOf(instance),
    node: ["", "none"].includes(instance.location) ? undefined : instance.location,
    revision: revisionOf({ id, labels, ...limits }),
  };
}

/** Of its root, which may stand in a profile. */
function diskOf({ expanded_devices }: Instance): number | undefined {
  const root = Object.values(expanded_devices).find(
    ({ type, path }) => type === "disk" && path === "/",
  );
  return bytesOf(root?.["size"]);
}

function labelsOf(config: LxdConfig): Record<string, string> {
  const labels = Object.entries(config).filter(([key]) => key.startsWith(LABEL_PREFIX));
  return Object.fromEntries(labels.map(([key, value]) => [key.slice(LABEL_PREFIX.length), value]));
}

/** LXD before 5.21 tells no start, but "last used" is exactly that, and it is set at restarts too (seen with 5.0.2). */
function startOf({ state, last_used_at }: Instance, status: ContainerStatus): string | undefined {
  if (status !== "running" && status !== "paused") return undefined;
  const told = state?.started_at ?? last_used_at;
  // Go's zero time and the epoch both mean "never".
  return Date.parse(told) > 0 ? told : undefined;
}

function addressesOf({ state }: Instance): readonly string[] {
  return Object.values(state?.network ?? {})
    .flatMap(({ addresses }) => addresses)
    .filter(({ scope }) => scope === "global")
    .map(({ address }) => address);
}
