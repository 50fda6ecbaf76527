import { z } from "zod";
import type { OfVolume, Pool, RawBackend, Volume } from "../types.ts";
import type { LxdClient } from "./client.ts";
import { bytesOf } from "./limits.ts";

const poolSchema = z.object({
  name: z.string(),
  driver: z.string(),
  status: z.string().default(""),
});
const usageSchema = z.object({
  space: z.object({ used: z.number().default(0), total: z.number().default(0) }).optional(),
});
const volumeSchema = z.object({
  name: z.string(),
  type: z.string(),
  project: z.string().optional(),
  created_at: z.string().optional(),
  used_by: z.array(z.string()).nullish(),
  config: z.record(z.string(), z.string()).nullish(),
});

type Storage = RawBackend["storage"];

export function lxdStorage(client: LxdClient): Storage {
  const pool = async (name: string, signal: AbortSignal) => {
    const found = await client.read(poolSchema, { path: poolPath(name), signal });
    return withUsage(client, found, signal);
  };
  return {
    pools: async (_request, signal) => {
      const request = { path: "/1.0/storage-pools", query: { recursion: "1" }, signal };
      const found = await client.read(z.array(poolSchema), request);
      return Promise.all(found.map(async (each) => withUsage(client, each, signal)));
    },
    createPool: async ({ pool: name, driver, sizeBytes }, signal) => {
      const config = sizeBytes === undefined ? {} : { size: `${sizeBytes}B` };
      const body = { name, driver, config };
      await client.run({ method: "POST", path: "/1.0/storage-pools", body, signal });
      return pool(name, signal);
    },
    removePool: async ({ pool: name }, signal) => {
      await client.run({ method: "DELETE", path: poolPath(name), signal });
    },
    volumes: async ({ project, pool: name }, signal) => {
      const path = `${poolPath(name)}/volumes/custom`;
      const request = { path, query: { project, recursion: "1" }, signal };
      const found = await client.read(z.array(volumeSchema), request);
      // "name/snapshot" are snapshots of volumes.
      return found
        .filter((each) => !each.name.includes("/"))
        .map((each) => volumeOf({ project, pool: name, volume: each.name }, each));
    },
    createVolume: async ({ sizeBytes, ...place }, signal) => {
      const config = sizeBytes === undefined ? {} : { size: `${sizeBytes}B` };
      const path = `${poolPath(place.pool)}/volumes/custom`;
      const query = { project: place.project };
      const body = { name: place.volume, config };
      await client.run({ method: "POST", path, query, body, signal });
      return volumeOf(place, await client.read(volumeSchema, { ...volumePlace(place), signal }));
    },
    removeVolume: async (place, signal) => {
      await client.run({ method: "DELETE", ...volumePlace(place), signal });
    },
  };
}

function poolPath(pool: string): string {
  return `/1.0/storage-pools/${encodeURIComponent(pool)}`;
}

function volumePlace({ project, pool, volume }: OfVolume) {
  const path = `${poolPath(pool)}/volumes/custom/${encodeURIComponent(volume)}`;
  return { path, query: { project } };
}

async function withUsage(
  client: LxdClient,
  { name, driver, status }: z.infer<typeof poolSchema>,
  signal: AbortSignal,
): Promise<Pool> {
  const path = `${poolPath(name)}/resources`;
  // A pool that cannot be measured is still a pool.
  const usage = await client.read(usageSchema, { path, signal }).catch(() => undefined);
  return {
    pool: name,
    driver,
    status: status.toLowerCase(),
    totalBytes: usage?.space?.total,
    usedBytes: usage?.space?.used,
  };
}

function volumeOf(place: OfVolume, found: z.infer<typeof volumeSchema>): Volume {
  const size = bytesOf(found.config?.["size"]);
  return {
    ...place,
    createdAt: toldTime(found.created_at),
    sizeBytes: size,
    usedBy: found.used_by?.length ?? 0,
  };
}

/** LXD 5.0 gives Go's zero time. */
function toldTime(time: string | undefined): string | undefined {
  return time === undefined || time.startsWith("0001-") ? undefined : time;
}
