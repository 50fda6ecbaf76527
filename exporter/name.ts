import { createHmac } from "node:crypto";
import type { ExportName } from "./types.ts";

/** More exports of one UTC day than this is a loop gone wild, not an archive. */
const EXPORTS_PER_DAY_MAX = 10_000;
const MASK_HEX_DIGITS = 32;

/**
 * The names an export of this UTC day may have, in order: `audit-20251121.csv`, `audit-20251121.2.csv`, … The first that is
 * free is taken. (Parts of one export will be called `….part002.csv`, so the two never meet.)
 */
export function* namesOf(cutoff: Date): Generator<string> {
  const day = cutoff.toISOString().slice(0, 10).replaceAll("-", "");
  yield `audit-${day}.csv`;
  for (let n = 2; n <= EXPORTS_PER_DAY_MAX; n++) yield `audit-${day}.${n}.csv`;
}

/** How names look outside: as they are, or as an HMAC with a salt, without which dates could simply be tried out. */
export function nameFor(clear: string, salt: string | undefined): ExportName {
  if (salt === undefined) return { clear, stored: clear };
  const mask = createHmac("sha256", salt).update(clear).digest("hex").slice(0, MASK_HEX_DIGITS);
  return { clear, stored: `${mask}.csv` };
}

export interface Layers {
  readonly pgp: "binary" | "armored" | undefined;
  readonly envelope: boolean;
}

/** The name after encryption and the name inside the envelope: `.csv` → `.csv.gpg` → `.csv.gpg.envelope.json`. */
export function sealedNames(stored: string, layers: Layers): { inner: string; outer: string } {
  const inner = layers.pgp === undefined ? stored : `${stored}.gpg`;
  return { inner, outer: layers.envelope ? `${inner}.envelope.json` : inner };
}
