import { BackendError } from "../error.ts";
import { mustAct } from "../transition.ts";
import type { Action, ContainerStatus, RawBackend } from "../types.ts";
import { add, find, keyOf, say, shown, timeOf, wake, type World } from "./world.ts";

export function memoryContainers(world: World): RawBackend["containers"] {
  return {
    list: async ({ project }) =>
      [...world.containers.values()]
        .filter(({ spec }) => project === undefined || spec.project === project)
        .map(shown)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    get: async (place) => shown(find(world, place)),
    create: async (spec) => shown(add(world, spec)),
    update: async ({ revision, cpus, memoryBytes, ...place }) => {
      const container = find(world, place);
      if (revision !== undefined && shown(container).revision !== revision) {
        throw new BackendError("changed", `container ${place.name} was changed meanwhile`);
      }
      container.cpus = cpus ?? container.cpus;
      container.memoryBytes = memoryBytes ?? container.memoryBytes;
      return shown(container);
    },
    act: async ({ action, ...place }) => {
      const container = find(world, place);
      if (!mustAct(action, place.name, container.status)) return shown(container);
      container.status = AFTER[action];
      if (action === "stop") container.startedAt = undefined;
      if (action === "start" || action === "restart") {
        container.startedAt = startAfter(container.startedAt, world);
      }
      say(world, container, `${action}: done`);
      return shown(container);
    },
    remove: async ({ force = false, ...place }) => {
      const container = find(world, place);
      if (container.status !== "stopped" && !force) {
        const why = `container ${place.name} is ${container.status}; stop it first, or use force`;
        throw new BackendError("conflict", why);
      }
      container.status = "stopped";
      world.containers.delete(keyOf(place));
      wake(container);
    },
  };
}

const AFTER: Readonly<Record<Action, ContainerStatus>> = {
  start: "running",
  restart: "running",
  resume: "running",
  stop: "stopped",
  pause: "paused",
};

/** No two starts of a container are at one time, which is how restarts are told apart. */
function startAfter(before: string | undefined, world: World): string {
  const now = timeOf(world);
  return before === undefined || now > before
    ? now
    : new Date(Date.parse(before) + 1).toISOString();
}
