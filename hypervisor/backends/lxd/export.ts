import { z } from "zod";
import type { OfSnapshot } from "../types.ts";
import type { LxdClient } from "./client.ts";

/** Of what container a temporary image is: whatever has this when an export begins is left over from one that was killed. */
const OF_KEY = "fettle.export";
/** Makes each image another one, so that LXD does not refuse the same files a second time. */
const ID_KEY = "fettle.export.id";
/** The cleaning goes on when the export itself was called off. */
const CLEAN_MS = 30_000;

const imagesSchema = z.array(
  z.object({ fingerprint: z.string(), properties: z.record(z.string(), z.string()).nullish() }),
);
const publishedSchema = z.object({ fingerprint: z.string() });

interface Exported extends OfSnapshot {
  readonly exportId: string;
}

/**
 * LXD packs a snapshot as an image, and gives images away. No instance is made for it, so nobody sees one, and `lxc image
 * import` reads the file in again. Not compressed: our own compression is better, and costs the host nothing.
 */
export async function exportedImage(
  client: LxdClient,
  place: Exported,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  await removeImages(client, place, signal);
  const { project, name, snapshot, exportId } = place;
  const query = { project };
  const body = {
    source: { type: "snapshot", name: `${name}/${snapshot}` },
    properties: { [OF_KEY]: name, [ID_KEY]: exportId },
    compression_algorithm: "none",
    public: false,
  };
  try {
    const request = { method: "POST", path: "/1.0/images", query, body, signal } as const;
    const { fingerprint } = publishedSchema.parse(await client.run(request));
    const path = `/1.0/images/${fingerprint}/export`;
    return closing(await client.stream({ path, query, signal }), async () => clean(client, place));
  } catch (error) {
    await clean(client, place);
    throw error;
  }
}

async function* closing(
  stream: AsyncIterable<Uint8Array>,
  close: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } finally {
    await close();
  }
}

/** What does not go now goes with the container's next export. */
async function clean(client: LxdClient, place: Exported): Promise<void> {
  await removeImages(client, place, AbortSignal.timeout(CLEAN_MS)).catch(() => undefined);
}

async function removeImages(
  client: LxdClient,
  { project, name }: Exported,
  signal: AbortSignal,
): Promise<void> {
  const query = { project };
  const request = { path: "/1.0/images", query: { ...query, recursion: "1" }, signal };
  const images = await client.read(imagesSchema, request);
  for (const { fingerprint, properties } of images) {
    if (properties?.[OF_KEY] !== name) continue;
    await client.run({ method: "DELETE", path: `/1.0/images/${fingerprint}`, query, signal });
  }
}
