import { createHmac } from "node:crypto";

/** More exports of one UTC day than this is a loop gone wild, not an archive. */
const EXPORTS_PER_DAY_MAX = 10_000;
const MASK_HEX_DIGITS = 32;

/**
 * The names an export of this UTC day may have, in order: `audit-20251121.csv`, `audit-20251121.2.csv`, … The first that is
 * free is taken. (Parts of one export are called `….part002.csv`, so the two never meet.)
 */
export function* namesOf(cutoff: Date): Generator<string> {
  const day = cutoff.toISOString().slice(0, 10).replaceAll("-", "");
  yield `audit-${day}.csv`;
  for (let n = 2; n <= EXPORTS_PER_DAY_MAX; n++) yield `audit-${day}.${n}.csv`;
}

/** What a file holds before it is sealed: the rows as CSV, or an archive with them as CSV and as JSON lines. */
export type Form = "csv" | "zip";

/** The name of a part before it is sealed: `audit-20251121.csv`, then `audit-20251121.part002.csv`. */
export function partName(exportName: string, part: number, form: Form): string {
  const stem = exportName.replace(/\.csv$/, "");
  return part === 1 ? `${stem}.${form}` : `${stem}.part${String(part).padStart(3, "0")}.${form}`;
}

/** What is in the archive of this name: it hides what the archive's own name hides. */
export function memberNames(archive: string): { readonly csv: string; readonly jsonl: string } {
  const stem = archive.replace(/\.zip$/, "");
  return { csv: `${stem}.csv`, jsonl: `${stem}.jsonl` };
}

export function manifestName(exportName: string): string {
  return exportName.replace(/\.csv$/, ".manifest.note");
}

/** How a name looks outside: as it is, or as an HMAC with a salt, without which dates could simply be tried out. */
export function storedName(clear: string, salt: string | undefined): string {
  if (salt === undefined) return clear;
  const mask = createHmac("sha256", salt).update(clear).digest("hex").slice(0, MASK_HEX_DIGITS);
  return `${mask}${/\.(csv|zip|manifest\.note)$/.exec(clear)?.[0] ?? ""}`;
}

export interface Layers {
  readonly compressed: boolean;
  readonly pgp: "binary" | "armored" | undefined;
  /** With a file for each recipient, whose it is: the end of the fingerprint. */
  readonly recipient?: string | undefined;
  readonly envelope: boolean;
}

/** The name after encryption and the name inside the envelope: `.csv[.zst]` → `.csv.gpg` → `.csv.gpg.envelope.json`. */
export function sealedNames(stored: string, layers: Layers): { inner: string; outer: string } {
  const forWhom = layers.recipient === undefined ? "" : `.${layers.recipient}`;
  const content = layers.compressed ? `${stored}.zst` : stored;
  const inner = layers.pgp === undefined ? content : `${content}${forWhom}.gpg`;
  return { inner, outer: layers.envelope ? `${inner}.envelope.json` : inner };
}

/** What a sealed file is called once it is open: without `.envelope.json`, `.gpg` with the recipient before it, and `.zst`. */
export function plainName(sealed: string): string {
  return sealed
    .replace(/\.envelope\.json$/, "")
    .replace(/(\.[0-9A-F]{16})?\.gpg$/, "")
    .replace(/\.zst$/, "");
}
