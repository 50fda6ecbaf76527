import { createHash } from "node:crypto";
import type Docker from "dockerode";
import { z } from "zod";
import { BackendError } from "../error.ts";
import type { Named, OfSnapshot, Snapshot } from "../types.ts";

const listedSchema = z.array(z.object({ Id: z.string(), RepoTags: z.array(z.string()).nullish() }));
const imageSchema = z.object({
  Id: z.string(),
  Created: z.string(),
  Comment: z.string().default(""),
});

/** A snapshot is an image: its repository says of what, its tag is its name. */
interface SnapshotImage {
  readonly id: string;
  readonly snapshot: Snapshot;
}

const SNAPSHOTS = "localhost/fettle-snapshot";
/** A second name of the images that restored and cloned containers run from, so that their snapshots can be deleted. */
const BASES = "localhost/fettle-base";

const namedSchema = z.object({
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
});
const OURS = /^localhost\/fettle-/;

/**
 * Snapshots hold a container's files, and whoever knows the engine could name another tenant's: so a container is made of an
 * image only that has a name, and none of ours. Also by its number, of which the engines take any beginning.
 *
 * @throws BackendError `invalid`; what the engine says of an image that is not there
 */
export async function refuseUnnamed(docker: Docker, image: string): Promise<void> {
  const { RepoTags, RepoDigests } = namedSchema.parse(await docker.getImage(image).inspect());
  const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])];
  const isNumber = /^(?:sha256:|[0-9a-f]{12,64}$)/.test(image);
  if (names.length > 0 && !isNumber && !names.some((name) => OURS.test(name))) return;
  throw new BackendError("invalid", "image: must be an image's name, and no snapshot");
}

/** Repositories take no capital letters, so that the name cannot stand there as it is. */
function repositoryOf({ project, name }: Named): string {
  const digest = createHash("sha256").update(`${project}/${name}`).digest("hex");
  return `${SNAPSHOTS}/${digest.slice(0, 20)}`;
}

/** Where `commit` puts a snapshot. */
export function referenceOf(place: OfSnapshot): { readonly repo: string; readonly tag: string } {
  return { repo: repositoryOf(place), tag: place.snapshot };
}

/** Oldest first. */
export async function imagesOf(
  docker: Docker,
  place: Named,
  abortSignal: AbortSignal,
): Promise<readonly SnapshotImage[]> {
  const prefix = `${repositoryOf(place)}:`;
  const listed = listedSchema.parse(await docker.listImages({ abortSignal }));
  const tagged = listed.flatMap(({ Id, RepoTags }) =>
    (RepoTags ?? [])
      .filter((tag) => tag.startsWith(prefix))
      .map((tag) => ({ Id, snapshot: tag.slice(prefix.length) })),
  );
  const images = await Promise.all(
    tagged.map(async ({ Id, snapshot }) => {
      const { Created, Comment } = imageSchema.parse(await docker.getImage(Id).inspect());
      return {
        id: Id,
        snapshot: {
          container: place.name,
          name: snapshot,
          comment: Comment,
          createdAt: Created,
          sizeBytes: undefined, // the engine only tells the size with all that it is based on
        },
      };
    }),
  );
  const timeOf = ({ snapshot }: SnapshotImage) => Date.parse(snapshot.createdAt);
  return images.sort((a, b) => timeOf(a) - timeOf(b));
}

/** A reference for a container that shall outlive the snapshot which it is made from. */
export async function baseOf(docker: Docker, { id }: SnapshotImage): Promise<string> {
  const tag = id.replace(/^sha256:/, "").slice(0, 20);
  await docker.getImage(id).tag({ repo: BASES, tag });
  return `${BASES}:${tag}`;
}

/** Without force: Podman would remove the containers that were made from it. */
export async function removeImage(
  docker: Docker,
  place: OfSnapshot,
  abortSignal: AbortSignal,
): Promise<void> {
  const { repo, tag } = referenceOf(place);
  await docker.getImage(`${repo}:${tag}`).remove({ abortSignal });
}

/**
 * What a removed container leaves: its snapshots, and the base that it ran from. A base that another clone runs from stays
 * until the last one goes.
 */
export async function removeImagesOf(
  docker: Docker,
  { place, image }: { readonly place: Named; readonly image: string },
  abortSignal: AbortSignal,
): Promise<void> {
  for (const { snapshot } of await imagesOf(docker, place, abortSignal)) {
    await removeImage(docker, { ...place, snapshot: snapshot.name }, abortSignal);
  }
  if (!image.startsWith(`${BASES}:`)) return;
  await docker
    .getImage(image)
    .remove({ abortSignal })
    .catch(() => undefined);
}
