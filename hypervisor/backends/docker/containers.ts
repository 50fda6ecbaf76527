import type Docker from "dockerode";
import { BackendError, unsupported } from "../error.ts";
import { mustAct } from "../transition.ts";
import type { Action, Container, ContainerSpec, Named, RawBackend } from "../types.ts";
import { refuseUnnamed, removeImagesOf } from "./images.ts";
import { statusOf } from "./explain.ts";
import { containerOf, inspectedSchema, limitsConfig, type Inspected } from "./inspected.ts";
import { DISK, PROJECT, projectOf } from "./labels.ts";
import { refuseNoBridge } from "./network.ts";

const GRACE_SECONDS = 10;
/** Containers are looked at one by one, since a list does not tell their limits and starts. */
const LOOKS_AT_ONCE = 8;

/** @param name of the backend, for what it cannot do */
export function dockerContainers(docker: Docker, name: string): RawBackend["containers"] {
  return {
    list: async ({ project }, signal) => list(docker, project, signal),
    get: async (place, signal) => containerOf(await inspect(docker, place, signal)),
    create: async (spec, signal) => {
      if (spec.pool !== undefined) throw unsupported(name, "choose the pool of a container");
      return create(docker, spec, signal);
    },
    update: async ({ revision, cpus, memoryBytes, ...place }, signal) => {
      const found = await inspect(docker, place, signal);
      if (revision !== undefined && containerOf(found).revision !== revision) {
        throw new BackendError("changed", `container ${place.name} was changed meanwhile`);
      }
      const limits = { ...limitsConfig({ cpus, memoryBytes }), abortSignal: signal };
      await docker
        .getContainer(found.Id)
        .update(limits)
        .catch((error: unknown) => {
          // The container was there a moment ago: it is the route that is not (Podman before 4.4).
          if (statusOf(error) === 404) throw unsupported(name, "change the limits of a container");
          throw error;
        });
      return containerOf(await inspect(docker, place, signal));
    },
    act: async ({ action, graceSeconds = GRACE_SECONDS, ...place }, signal) => {
      const found = await inspect(docker, place, signal);
      const { status } = containerOf(found);
      if (!mustAct(action, place.name, status)) return containerOf(found);
      await act(docker.getContainer(found.Id), { action, graceSeconds, status }, signal);
      return containerOf(await inspect(docker, place, signal));
    },
    remove: async ({ force = false, ...place }, signal) => {
      const found = await inspect(docker, place, signal);
      const options = { force, v: true, abortSignal: signal };
      await docker.getContainer(found.Id).remove(options);
      await removeImagesOf(docker, { place, image: found.Config.Image }, signal);
    },
  };
}

/** @throws BackendError `not_found`, also for a container of another project: names are unique on a host, projects are labels */
export async function inspect(
  docker: Docker,
  { project, name }: Named,
  abortSignal: AbortSignal,
): Promise<Inspected> {
  const found = inspectedSchema.parse(await docker.getContainer(name).inspect({ abortSignal }));
  const container = containerOf(found);
  // An id, or the beginning of one, is a name for Docker too.
  if (container.name !== name || container.project !== project) {
    throw new BackendError("not_found", `there is no container ${name} in project ${project}`);
  }
  return found;
}

async function list(
  docker: Docker,
  project: string | undefined,
  abortSignal: AbortSignal,
): Promise<readonly Container[]> {
  const listed = await docker.listContainers({ all: true, abortSignal });
  const wanted = listed.filter(
    ({ Labels }) => project === undefined || projectOf(Labels) === project,
  );
  const found: Container[] = [];
  const queue = wanted.map(({ Id }) => Id);
  const look = async (): Promise<void> => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const container = await docker
        .getContainer(id)
        .inspect({ abortSignal })
        .catch((error: unknown) => {
          if (statusOf(error) === 404) return undefined; // removed since the list
          throw error;
        });
      if (container !== undefined) found.push(containerOf(inspectedSchema.parse(container)));
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, look));
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function create(
  docker: Docker,
  spec: ContainerSpec,
  abortSignal: AbortSignal,
): Promise<Container> {
  const { project, name, image, command, labels = {}, environment = {}, bridge } = spec;
  const disk = spec.diskBytes === undefined ? {} : { [DISK]: `${spec.diskBytes}` };
  await refuseUnnamed(docker, image);
  if (bridge !== undefined) await refuseNoBridge(docker, bridge);
  await docker.createContainer({
    name,
    Image: image,
    ...(command === undefined ? {} : { Cmd: [...command] }),
    Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    Labels: { ...labels, [PROJECT]: project, ...disk },
    HostConfig: {
      ...limitsConfig(spec),
      ...(bridge === undefined ? {} : { NetworkMode: bridge }),
    },
    abortSignal,
  });
  return containerOf(await inspect(docker, spec, abortSignal));
}

interface Act {
  readonly action: Action;
  readonly graceSeconds: number;
  readonly status: Container["status"];
}

async function act(
  container: Docker.Container,
  { action, graceSeconds, status }: Act,
  abortSignal: AbortSignal,
): Promise<void> {
  const graceful = { t: graceSeconds, abortSignal };
  // Podman stops no paused container.
  if (action === "stop" && status === "paused") await container.unpause({ abortSignal });
  switch (action) {
    case "start":
      await container.start({ abortSignal });
      break;
    case "stop":
      await container.stop(graceful);
      break;
    case "restart":
      await container.restart(graceful);
      break;
    case "pause":
      await container.pause({ abortSignal });
      break;
    case "resume":
      await container.unpause({ abortSignal });
  }
}
