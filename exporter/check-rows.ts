import { createReadStream } from "node:fs";
import { messageOf } from "../lib/error.ts";
import type { Manifest } from "./manifest.ts";
import { plainName } from "./name.ts";
import { RowReader } from "./row-reader.ts";

/** Gives the bytes inside a sealed file, or undefined when no key for it is there. They count only once they have ended. */
export type OpenPlaintext = (path: string) => Promise<AsyncIterable<Uint8Array> | undefined>;

const READ_CHUNK_BYTES = 256 * 1024;

/**
 * Reads the rows again where it can (CSVs that were given, sealed files to which a key was given) and compares counts, hashes
 * and the root of their Merkle tree. `checked` says whether all rows of the manifest were seen.
 */
export async function rowProblems(
  manifest: Manifest,
  given: ReadonlyMap<string, string>,
  named: Set<string>,
  openPlaintext: OpenPlaintext,
): Promise<{ readonly checked: boolean; readonly problems: readonly string[] }> {
  const problems: string[] = [];
  const rows = new RowReader(manifest.formula);
  for (const part of manifest.parts) {
    const names = manifest.files
      .filter((file) => file.part === part.part && file.form === "csv")
      .map(({ name }) => name);
    for (const name of names) named.add(plainName(name));
    try {
      const source = await plaintextOf(names, given, openPlaintext);
      if (source === undefined) return { checked: false, problems };
      const seen = await rows.read(source.bytes);
      if (seen.rows !== part.rows) {
        problems.push(`${source.name}: has ${seen.rows} rows, the manifest says ${part.rows}`);
      } else if (seen.sha256 !== part.sha256) {
        problems.push(`${source.name}: its rows are not those that were exported`);
      }
    } catch (error) {
      problems.push(`${names.join(", ")}: ${messageOf(error)}`);
    }
  }
  if (problems.length === 0 && rows.root() !== manifest.merkle.root) {
    problems.push(`manifest ${manifest.sequence}: the root of its rows is another`);
  }
  return { checked: problems.length === 0, problems };
}

async function plaintextOf(
  sealedNames: readonly string[],
  given: ReadonlyMap<string, string>,
  openPlaintext: OpenPlaintext,
): Promise<{ name: string; bytes: AsyncIterable<Uint8Array> } | undefined> {
  for (const sealed of sealedNames) {
    const name = plainName(sealed);
    const path = given.get(name);
    if (path !== undefined) {
      return { name, bytes: createReadStream(path, { highWaterMark: READ_CHUNK_BYTES }) };
    }
  }
  for (const name of sealedNames) {
    const path = given.get(name);
    const bytes = path === undefined ? undefined : await openPlaintext(path);
    if (bytes !== undefined) return { name, bytes };
  }
  return undefined;
}
