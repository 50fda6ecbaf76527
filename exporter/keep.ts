import type { Tap } from "./build.ts";
import { partNames, plainNameOf, type Output, type Sealing } from "./outputs.ts";
import type { Artifact } from "./types.ts";

/** The folder of this machine, and nobody else, gets what is kept unsealed. */
export const KEPT_AT = "folder";

/** Whether the destination is to have the file. */
export function isFor({ onlyAt }: Pick<Artifact, "onlyAt">, destination: string): boolean {
  return onlyAt === undefined || onlyAt === destination;
}

/**
 * What is copied out of the pipeline on its way: the plaintext before OpenPGP, and what goes into the envelope.
 *
 * @param pathOf where a file of this name is built
 */
export function tapsOf(
  exportName: string,
  part: number,
  output: Output,
  sealing: Pick<Sealing, "keep" | "filenameSalt">,
  pathOf: (name: string) => string,
): readonly Tap[] {
  const { keep, filenameSalt } = sealing;
  const taps: Omit<Tap, "path">[] = [];
  if (keep.plaintext && output.isFirst && output.layers.pgp !== undefined)
    taps.push({ name: plainNameOf(exportName, part, output.form, filenameSalt), before: "first" });
  if (keep.original && output.layers.envelope) {
    const { inner } = partNames(exportName, part, output, filenameSalt);
    taps.push({ name: inner, before: "last" });
  }
  return taps.map((tap) => ({ ...tap, path: pathOf(tap.name) }));
}
