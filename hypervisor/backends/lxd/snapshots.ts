import { z } from "zod";
import type { OfSnapshot, RawBackend, Snapshot } from "../types.ts";
import type { LxdClient } from "./client.ts";
import { exportedImage } from "./export.ts";
import { getContainer, placeOf, refuseTaken } from "./containers.ts";

const COMMENT_KEY = "user.fettle.comment";

const snapshotSchema = z.object({
  name: z.string(),
  created_at: z.string(),
  size: z.number().default(-1),
  config: z.record(z.string(), z.string()).nullish(),
});

type Snapshots = RawBackend["snapshots"];

export function lxdSnapshots(client: LxdClient): Snapshots {
  const get = async (place: OfSnapshot, signal: AbortSignal) => {
    const { path, query } = snapshotPlace(place);
    return snapshotOf(place.name, await client.read(snapshotSchema, { path, query, signal }));
  };
  return {
    list: async (place, signal) => {
      const { path, query } = placeOf(place);
      const request = { path: `${path}/snapshots`, query: { ...query, recursion: "1" }, signal };
      const found = await client.read(z.array(snapshotSchema), request);
      return found
        .map((each) => snapshotOf(place.name, each))
        .sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
    },
    create: async ({ comment = "", ...place }, signal) => {
      const { path, query } = placeOf(place);
      await setComment(client, place, comment, signal);
      const body = { name: place.snapshot };
      await client.run({ method: "POST", path: `${path}/snapshots`, query, body, signal });
      return get(place, signal);
    },
    restore: async (place, signal) => {
      await get(place, signal); // else LXD's words are about a database row
      const { path, query } = placeOf(place);
      const body = { restore: place.snapshot };
      await client.run({ method: "PUT", path, query, body, signal });
      return getContainer(client, place, signal);
    },
    remove: async (place, signal) => {
      await client.run({ method: "DELETE", ...snapshotPlace(place), signal });
    },
    clone: async ({ newName, ...place }, signal) => {
      await get(place, signal);
      await refuseTaken(client, { project: place.project, name: newName }, signal);
      const source = { type: "copy", source: `${place.name}/${place.snapshot}` };
      const profiles = await profilesOf(client, place, signal);
      const { query } = placeOf(place);
      const body = { name: newName, source, profiles };
      await client.run({ method: "POST", path: "/1.0/instances", query, body, signal });
      return getContainer(client, { project: place.project, name: newName }, signal);
    },
    export: async (place, signal) => {
      await get(place, signal);
      return exportedImage(client, place, signal);
    },
  };
}

function snapshotPlace(place: OfSnapshot) {
  const { path, query } = placeOf(place);
  return { path: `${path}/snapshots/${encodeURIComponent(place.snapshot)}`, query };
}

function snapshotOf(container: string, found: z.infer<typeof snapshotSchema>): Snapshot {
  const { created_at: createdAt, size, config } = found;
  // Listed as `container/snapshot` by older servers.
  const name = found.name.slice(found.name.lastIndexOf("/") + 1);
  const comment = config?.[COMMENT_KEY] ?? "";
  return { container, name, createdAt, comment, sizeBytes: size < 0 ? undefined : size };
}

const configuredSchema = z.object({
  config: z.record(z.string(), z.string()).default({}),
  profiles: z.array(z.string()).default([]),
});

/** LXD's snapshots take no comment, but they copy the container's configuration: so it stands there before. */
async function setComment(
  client: LxdClient,
  place: OfSnapshot,
  comment: string,
  signal: AbortSignal,
): Promise<void> {
  const request = { ...placeOf(place), signal };
  const { value, etag } = await client.readTagged(configuredSchema, request);
  if ((value.config[COMMENT_KEY] ?? "") === comment) return;
  const body = { config: { [COMMENT_KEY]: comment } };
  await client.run({ ...request, method: "PATCH", body, ifMatch: etag });
}

/** Without them the copy has no root disk (seen with 5.0.2). */
async function profilesOf(client: LxdClient, place: OfSnapshot, signal: AbortSignal) {
  const { profiles } = await client.read(configuredSchema, { ...placeOf(place), signal });
  return profiles;
}
