import { messageOf } from "../lib/error.ts";
import { contentOfFile, type Content } from "./content.ts";
import type { Manifest } from "./manifest.ts";
import { memberNames, plainName } from "./name.ts";
import { rowsIn, type PartRows } from "./part-rows.ts";
import { RowReader } from "./row-reader.ts";

/** Gives what is inside a sealed file, or undefined when no key for it is there. */
export type OpenPlaintext = (path: string) => Promise<Content | undefined>;

type Part = Manifest["parts"][number];

/** Somewhere that the rows of a part are. */
interface Source {
  readonly name: string;
  readonly content: Content;
  /** JSON lines that were given beside it. */
  readonly jsonl?: string | undefined;
}

/**
 * Reads the rows again where it can (CSVs and archives that were given, sealed files to which a key was given) and compares
 * counts, hashes, the root of their Merkle tree, and JSON lines with the CSV that they belong to. `checked` says whether all rows of
 * the manifest were seen.
 */
export async function rowProblems(
  manifest: Manifest,
  given: ReadonlyMap<string, string>,
  named: Set<string>,
  openPlaintext: OpenPlaintext,
): Promise<{ readonly checked: boolean; readonly problems: readonly string[] }> {
  const problems: string[] = [];
  const rows = new RowReader(manifest.formula);
  let isWhole = true;
  for (const part of manifest.parts) {
    const files = manifest.files.filter((file) => file.part === part.part && file.form !== "jsonl");
    const names = files.map(({ name }) => name);
    for (const name of names.flatMap(looseNames)) named.add(name);
    try {
      const sources = await sourcesOf(names, given, openPlaintext);
      isWhole &&= sources.length > 0;
      for (const [n, source] of sources.entries()) {
        // Each row goes into the tree once.
        const reader = n === 0 ? rows : new RowReader(manifest.formula);
        problems.push(...(await sourceProblems(source, part, reader)));
      }
    } catch (error) {
      problems.push(`${names.join(", ")}: ${messageOf(error)}`);
    }
  }
  if (!isWhole) return { checked: false, problems };
  if (problems.length === 0 && rows.root() !== manifest.merkle.root) {
    problems.push(`manifest ${manifest.sequence}: the root of its rows is another`);
  }
  return { checked: problems.length === 0, problems };
}

/** What somebody who opened the sealed file may have given in its place. */
function looseNames(sealed: string): readonly string[] {
  const plain = plainName(sealed);
  return plain.endsWith(".zip") ? [plain, ...Object.values(memberNames(plain))] : [plain];
}

/** All that was given unsealed; where nothing was, the first file that a key opens. */
async function sourcesOf(
  sealedNames: readonly string[],
  given: ReadonlyMap<string, string>,
  openPlaintext: OpenPlaintext,
): Promise<readonly Source[]> {
  const loose = [...new Set(sealedNames.flatMap(looseNames))];
  const lines = loose.find((name) => name.endsWith(".jsonl"));
  const jsonl = lines === undefined ? undefined : given.get(lines);
  const sources = loose
    .filter((name) => name !== lines)
    .flatMap((name) => {
      const path = given.get(name);
      return path === undefined ? [] : [{ name, content: contentOfFile(path), jsonl }];
    });
  if (sources.length > 0) return sources;
  for (const name of sealedNames) {
    const path = given.get(name);
    const content = path === undefined ? undefined : await openPlaintext(path);
    if (content !== undefined) return [{ name, content, jsonl }];
  }
  return [];
}

async function sourceProblems(
  { name, content, jsonl }: Source,
  part: Part,
  reader: RowReader,
): Promise<readonly string[]> {
  try {
    const { csv, twins } = await rowsIn(name, content);
    const beside = jsonl === undefined ? [] : [contentOfFile(jsonl).read()];
    const rows: PartRows = { csv, twins: [...twins, ...beside] };
    const seen = await reader.read(rows);
    if (seen.rows !== part.rows)
      return [`${name}: has ${seen.rows} rows, the manifest says ${part.rows}`];
    if (seen.sha256 !== part.sha256) return [`${name}: its rows are not those that were exported`];
    return seen.twinProblem === undefined ? [] : [`${name}: ${seen.twinProblem}`];
  } finally {
    content.forget();
  }
}
