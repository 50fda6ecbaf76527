import { BackendError } from "../error.ts";
import type { OfSnapshot, RawBackend } from "../types.ts";
import { tarOf } from "./tar.ts";
import { add, find, shown, timeOf, type World } from "./world.ts";

export function memorySnapshots(world: World): RawBackend["snapshots"] {
  const state = (place: OfSnapshot) => {
    const container = find(world, place);
    const found = container.snapshots.get(place.snapshot);
    if (found !== undefined) return { container, ...found };
    const why = `there is no snapshot ${place.snapshot} of container ${place.name}`;
    throw new BackendError("not_found", why);
  };
  return {
    list: async (place) =>
      [...find(world, place).snapshots.values()].map(({ snapshot }) => snapshot),
    create: async ({ comment = "", ...place }) => {
      const { name, snapshot: snapshotName } = place;
      const container = find(world, place);
      if (container.snapshots.has(snapshotName)) {
        const why = `there is a snapshot ${snapshotName} of container ${name} already`;
        throw new BackendError("conflict", why);
      }
      const snapshot = {
        container: name,
        name: snapshotName,
        createdAt: timeOf(world),
        comment,
        sizeBytes: undefined,
      };
      container.snapshots.set(snapshotName, { snapshot, files: { ...container.files } });
      return snapshot;
    },
    restore: async (place) => {
      const { container, files } = state(place);
      container.files = { ...files };
      if (container.status !== "stopped") {
        container.status = "running";
        container.startedAt = timeOf(world);
      }
      return shown(container);
    },
    remove: async (place) => {
      state(place).container.snapshots.delete(place.snapshot);
    },
    clone: async ({ newName, ...place }) => {
      const { container, files } = state(place);
      const { cpus, memoryBytes, spec } = container;
      const made = add(world, { ...spec, name: newName, cpus, memoryBytes });
      made.files = { ...files };
      return shown(made);
    },
    export: async (place) => tarOf(state(place).files),
  };
}
