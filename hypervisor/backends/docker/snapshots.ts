import { randomBytes } from "node:crypto";
import type Docker from "dockerode";
import { BackendError } from "../error.ts";
import type { OfSnapshot, RawBackend } from "../types.ts";
import { inspect } from "./containers.ts";
import { baseOf, imagesOf, referenceOf, removeImage } from "./images.ts";
import { dialStream } from "./dial.ts";
import { containerOf, type Inspected } from "./inspected.ts";
import { copyOptions, connectOthers } from "./copy.ts";

/** Snapshots are images of the container's files. What stands in volumes is not in them, and neither is its memory. */
export function dockerSnapshots(docker: Docker): RawBackend["snapshots"] {
  const find = async (place: OfSnapshot, signal: AbortSignal) => {
    const images = await imagesOf(docker, place, signal);
    const image = images.find(({ snapshot }) => snapshot.name === place.snapshot);
    if (image !== undefined) return image;
    const why = `there is no snapshot ${place.snapshot} of container ${place.name}`;
    throw new BackendError("not_found", why);
  };
  return {
    list: async (place, signal) => {
      await inspect(docker, place, signal);
      return (await imagesOf(docker, place, signal)).map(({ snapshot }) => snapshot);
    },
    create: async ({ comment = "", ...place }, signal) => {
      const { Id } = await inspect(docker, place, signal);
      if (
        (await imagesOf(docker, place, signal)).some(
          ({ snapshot }) => snapshot.name === place.snapshot,
        )
      ) {
        const why = `there is a snapshot ${place.snapshot} of container ${place.name} already`;
        throw new BackendError("conflict", why);
      }
      // Paused meanwhile, so that no file is half written. Podman wants a body, if only an empty one.
      const _query = { container: Id, ...referenceOf(place), comment, pause: true };
      await docker.getContainer(Id).commit({ _query, _body: { Labels: {} }, abortSignal: signal });
      return (await find(place, signal)).snapshot;
    },
    restore: async (place, signal) => {
      const old = await inspect(docker, place, signal);
      const image = await baseOf(docker, await find(place, signal));
      await replace(docker, { old, image }, signal);
      return containerOf(await inspect(docker, place, signal));
    },
    remove: async (place, signal) => {
      await inspect(docker, place, signal);
      await find(place, signal);
      await removeImage(docker, place, signal);
    },
    clone: async ({ newName, ...place }, signal) => {
      const old = await inspect(docker, place, signal);
      const image = await baseOf(docker, await find(place, signal));
      await docker.createContainer({ name: newName, ...copyOptions(old, image) });
      const made = { project: place.project, name: newName };
      return containerOf(await inspect(docker, made, signal));
    },
    export: async (place, signal) => {
      await inspect(docker, place, signal);
      await find(place, signal);
      // By its name, which `docker load` and `podman load` then give it again.
      const { repo, tag } = referenceOf(place);
      return dialStream(docker, { path: `/images/${repo}:${tag}/get`, signal });
    },
  };
}

const STOP_SECONDS = 10;

/**
 * The engine cannot put other files under a container, so another one takes its place and name. The old one is removed when the
 * new one runs; until then every step can be taken back.
 */
async function replace(
  docker: Docker,
  { old, image }: { readonly old: Inspected; readonly image: string },
  signal: AbortSignal,
): Promise<void> {
  const { name, status } = containerOf(old);
  const runs = status === "running" || status === "paused";
  const aside = `${name.slice(0, NAME_KEPT_MAX)}.${randomBytes(4).toString("hex")}`;
  const before = docker.getContainer(old.Id);
  const made = await docker.createContainer({ name: aside, ...copyOptions(old, image) });
  const undo: (() => Promise<void>)[] = [
    async () => {
      await made.remove({ force: true, v: true });
    },
  ];
  try {
    await connectOthers(docker, old, made.id);
    if (status === "paused") await before.unpause();
    if (runs) {
      undo.push(async () => {
        await before.start();
      });
      await before.stop({ t: STOP_SECONDS, abortSignal: signal });
    }
    const parked = `${aside}.old`;
    await before.rename({ name: parked });
    undo.push(async () => {
      await before.rename({ name });
    });
    await made.rename({ name });
    undo.push(async () => {
      await made.rename({ name: aside });
    });
    if (runs) await made.start();
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
  await before.remove({ force: true });
}

const NAME_KEPT_MAX = 40;
