import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BackendError } from "../error.ts";
import { mustAct } from "../transition.ts";
import type { Action, Container, ContainerSpec, Named, RawBackend } from "../types.ts";
import { imageSource } from "./images.ts";
import { containerOf, IMAGE_KEY, instanceSchema, LABEL_PREFIX } from "./instance.ts";
import { LxdError, type LxdClient } from "./client.ts";
import { limitsConfig } from "./limits.ts";

const GRACE_SECONDS = 10;

type Containers = RawBackend["containers"];

export function lxdContainers(client: LxdClient): Containers {
  return {
    list: async ({ project }, signal) => {
      const query = { recursion: "2", ...(project === undefined ? ALL : { project }) };
      const schema = z.array(instanceSchema);
      const request = { path: "/1.0/instances", query, signal };
      const instances = await client.read(schema, request);
      const containers = instances.map(containerOf);
      return containers.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    get: async (place, signal) => getContainer(client, place, signal),
    create: async (spec, signal) => create(client, spec, signal),
    update: async ({ revision, cpus, memoryBytes, ...place }, signal) => {
      const request = { ...placeOf(place), signal };
      const { value, etag } = await client.readTagged(instanceSchema, request);
      checkRevision(containerOf(value), revision);
      const config = limitsConfig({ cpus, memoryBytes });
      // Between our look and this nobody else's change gets lost: LXD compares as well.
      await client.run({ ...request, method: "PATCH", body: { config }, ifMatch: etag });
      return getContainer(client, place, signal);
    },
    act: async ({ action, graceSeconds = GRACE_SECONDS, ...place }, signal) => {
      const container = await getContainer(client, place, signal);
      if (!mustAct(action, place.name, container.status)) return container;
      await act(client, { action, graceSeconds, container }, signal);
      return getContainer(client, place, signal);
    },
    remove: async ({ force = false, ...place }, signal) => {
      const container = await getContainer(client, place, signal);
      if (container.status !== "stopped") {
        if (!force) {
          const why = `container ${place.name} is ${container.status}; stop it first, or use force`;
          throw new BackendError("conflict", why);
        }
        await act(client, { action: "stop", graceSeconds: 0, container }, signal);
      }
      await client.run({ ...placeOf(place), method: "DELETE", signal });
    },
  };
}

const ALL = { "all-projects": "true" };

/** Where a container is; its name was checked. */
export function placeOf({ project, name }: Named): {
  readonly path: string;
  readonly query: { readonly project: string };
} {
  return { path: `/1.0/instances/${encodeURIComponent(name)}`, query: { project } };
}

/** @throws LxdError 404 */
export async function getContainer(
  client: LxdClient,
  place: Named,
  signal: AbortSignal,
): Promise<Container> {
  const { path, query } = placeOf(place);
  const request = { path, query: { ...query, recursion: "1" }, signal };
  for (let tries = 1; ; tries += 1) {
    try {
      return containerOf(await client.read(instanceSchema, request));
    } catch (error) {
      if (!(error instanceof LxdError && GOING_DOWN.test(error.message))) throw error;
      if (tries === LOOKS_MAX) throw error;
      await sleep(LOOK_PAUSE_MS, undefined, { signal });
    }
  }
}

/** Incus 6.0.4 fails to tell the state of a container whose first process has just gone (seen; LXD tells it). */
const GOING_DOWN = /^Invalid PID/;
const LOOKS_MAX = 20;
const LOOK_PAUSE_MS = 100;

function checkRevision({ name, revision }: Container, expected: string | undefined): void {
  if (expected === undefined || expected === revision) return;
  throw new BackendError("changed", `container ${name} was changed meanwhile`);
}

async function create(
  client: LxdClient,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Container> {
  const { project, name, image, labels = {}, environment = {}, bridge } = spec;
  if (spec.command !== undefined) {
    throw new BackendError("invalid", "command: a system container runs its own init");
  }
  await refuseTaken(client, spec, signal);
  const config = {
    ...limitsConfig(spec),
    ...prefixed("environment.", environment),
    ...prefixed(LABEL_PREFIX, labels),
    [IMAGE_KEY]: image,
  };
  const devices = {
    ...(bridge === undefined ? {} : { eth0: { name: "eth0", network: bridge, type: "nic" } }),
    ...(await rootOf(client, spec, signal)),
  };
  const body = { name, config, devices, source: imageSource(image) };
  await client.run({ method: "POST", path: "/1.0/instances", query: { project }, body, signal });
  return getContainer(client, spec, signal);
}

const profileSchema = z.object({
  devices: z.record(z.string(), z.record(z.string(), z.string())).default({}),
});

/** A root of its own where the profile's will not do; without a pool, in the profile's. */
async function rootOf(
  client: LxdClient,
  { project, pool, diskBytes }: ContainerSpec,
  signal: AbortSignal,
) {
  if (pool === undefined && diskBytes === undefined) return {};
  const request = { path: "/1.0/profiles/default", query: { project }, signal };
  const { devices } = await client.read(profileSchema, request);
  const root = Object.values(devices).find(({ type, path }) => type === "disk" && path === "/");
  const usual = root?.["pool"] ?? "default";
  const size = diskBytes === undefined ? {} : { size: `${diskBytes}B` };
  return { root: { path: "/", pool: pool ?? usual, type: "disk", ...size } };
}

/** LXD writes variables into a file line by line: a new line in one would be a setting of its own (CVE-2026-23953). */
function prefixed(prefix: string, entries: Readonly<Record<string, string>>) {
  for (const [key, value] of Object.entries(entries)) {
    if (!/\p{Cc}/u.test(`${key}${value}`)) continue;
    throw new BackendError("invalid", `${prefix}${key}: must have no control characters`);
  }
  return Object.fromEntries(
    Object.entries(entries).map(([key, value]) => [`${prefix}${key}`, value]),
  );
}

/** LXD tells a taken name only by the words of a failed operation, and unpacks the image before. @throws BackendError */
export async function refuseTaken(
  client: LxdClient,
  place: Named,
  signal: AbortSignal,
): Promise<void> {
  const { value: names } = await client.readTagged(z.array(z.string()), {
    path: "/1.0/instances",
    query: { project: place.project },
    signal,
  });
  if (names.some((path) => path.split("?")[0] === `/1.0/instances/${place.name}`)) {
    throw new BackendError("conflict", `there is a container ${place.name} already`);
  }
}

interface Act {
  readonly action: Action;
  readonly graceSeconds: number;
  readonly container: Container;
}

/** LXD does not kill what does not shut down in time; we do, as the port promises. */
async function act(
  client: LxdClient,
  { action, graceSeconds, container }: Act,
  signal: AbortSignal,
) {
  const { path, query } = placeOf(container);
  const change = async (body: object) =>
    client.run({ method: "PUT", path: `${path}/state`, query, body, signal });
  const force = { action: VERBS[action], force: true, timeout: 0 };
  if (action !== "stop" && action !== "restart") {
    await change({ action: VERBS[action] });
  } else if (graceSeconds === 0 || container.status === "paused") {
    await change(force); // a frozen container cannot hear that it shall shut down
  } else {
    try {
      await change({ action: VERBS[action], timeout: graceSeconds });
    } catch (error) {
      if (signal.aborted) throw error;
      const now = await getContainer(client, container, signal);
      // It may have gone, or even come back, just after LXD lost patience.
      if (now.status === "running" && now.startedAt === container.startedAt) await change(force);
      else if (now.status === "stopped" && action === "restart") await change({ action: "start" });
    }
  }
}

const VERBS: Readonly<Record<Action, string>> = {
  start: "start",
  stop: "stop",
  restart: "restart",
  pause: "freeze",
  resume: "unfreeze",
};
