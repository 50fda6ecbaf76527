import type Docker from "dockerode";
import { z } from "zod";
import { BackendError, unsupported } from "../error.ts";
import type { OfVolume, RawBackend, Volume } from "../types.ts";
import { statusOf } from "./explain.ts";
import { PROJECT, projectOf } from "./labels.ts";

const volumeSchema = z.object({
  Name: z.string(),
  Driver: z.string(),
  CreatedAt: z.string().optional(),
  Labels: z.record(z.string(), z.string()).nullish(),
});
type Found = z.infer<typeof volumeSchema>;

/** The engine's volume drivers are its pools. */
export function dockerStorage(docker: Docker, name: string): RawBackend["storage"] {
  const usesOf = async (abortSignal: AbortSignal) => {
    const containers = await docker.listContainers({ all: true, abortSignal });
    const mounted = containers.flatMap(({ Mounts }) => Mounts.map((mount) => mount.Name));
    return (volume: string) => mounted.filter((each) => each === volume).length;
  };
  const find = async ({ pool, project, volume }: OfVolume, signal: AbortSignal) => {
    const found = await inspectVolume(docker, volume);
    signal.throwIfAborted();
    if (found?.Driver === pool && projectOf(found.Labels ?? {}) === project) return found;
    throw new BackendError("not_found", `there is no volume ${volume} in pool ${pool}`);
  };
  return {
    pools: async () => {
      const { Plugins } = z
        .object({ Plugins: z.object({ Volume: z.array(z.string()).nullish() }) })
        .parse(await docker.info());
      return (Plugins.Volume ?? []).map((driver) => ({
        pool: driver,
        driver,
        status: "available",
        totalBytes: undefined,
        usedBytes: undefined,
      }));
    },
    createPool: async () => Promise.reject(unsupported(name, "create storage pools")),
    removePool: async () => Promise.reject(unsupported(name, "remove storage pools")),
    volumes: async ({ project, pool }, abortSignal) => {
      const { Volumes } = await docker.listVolumes({ abortSignal });
      const usedBy = await usesOf(abortSignal);
      return z
        .array(volumeSchema)
        .parse(Volumes)
        .filter(({ Driver, Labels }) => Driver === pool && projectOf(Labels ?? {}) === project)
        .map((found) => volumeOf(project, found, usedBy(found.Name)));
    },
    createVolume: async ({ sizeBytes, ...place }, abortSignal) => {
      if (sizeBytes !== undefined) throw unsupported(name, "limit the size of a volume");
      const { pool, project, volume } = place;
      // The engine answers with the one that is there, whoever's it is.
      if ((await inspectVolume(docker, volume)) !== undefined) {
        throw new BackendError("conflict", `there is a volume ${volume} already`);
      }
      const Labels = { [PROJECT]: project };
      await docker.createVolume({ Name: volume, Driver: pool, Labels, abortSignal });
      return volumeOf(project, await find(place, abortSignal), 0);
    },
    removeVolume: async (place, abortSignal) => {
      await find(place, abortSignal);
      await docker.getVolume(place.volume).remove({ abortSignal });
    },
  };
}

async function inspectVolume(docker: Docker, volume: string): Promise<Found | undefined> {
  try {
    return volumeSchema.parse(await docker.getVolume(volume).inspect());
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

function volumeOf(project: string, found: Found, usedBy: number): Volume {
  return {
    project,
    pool: found.Driver,
    volume: found.Name,
    createdAt: found.CreatedAt,
    sizeBytes: undefined,
    usedBy,
  };
}
