import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../lib/error.ts";
import { readVerifiers, type NoteVerifier } from "../lib/signed-note.ts";
import { PREFIX } from "./backup-manifest.ts";
import { chainProblems } from "./check-chain.ts";
import { rowProblems, type OpenPlaintext } from "./check-rows.ts";
import { hashFile } from "./hash-file.ts";
import { looksLikeManifest, readManifest, type VerifiedManifest } from "./manifest.ts";

export interface CheckRequest {
  /** Manifests, the files that they name, decrypted CSVs; a folder stands for all files in it but those of backups. */
  readonly files: readonly string[];
  readonly publicKeyFile: string;
  /** The manifest before the first one given. */
  readonly previous?: string | undefined;
  /** `sequence:sha256` of the newest manifest, as it was noted elsewhere: what shows that nothing was cut off. */
  readonly head?: string | undefined;
}

interface CheckedManifest {
  readonly name: string;
  readonly sequence: number;
  readonly sha256: string;
  readonly keyName: string;
  readonly keyId: string;
  readonly rows: number;
  /** Whether the rows themselves were seen and fit; without keys only the sealed files are compared. */
  readonly rowsChecked: boolean;
}

export interface CheckReport {
  readonly manifests: readonly CheckedManifest[];
  /** How many files are what their manifest says. */
  readonly filesChecked: number;
  /** Empty: everything fits. */
  readonly problems: readonly string[];
}

export interface CheckDeps {
  /** The plaintext of a sealed file, when a key for it is there. */
  readonly openPlaintext: OpenPlaintext;
}

interface Given {
  /** By file name; two files of one name cannot be told apart in a manifest. */
  readonly others: ReadonlyMap<string, string>;
  readonly manifests: readonly (VerifiedManifest & { readonly name: string })[];
  readonly problems: readonly string[];
}

const HEAD_BYTES = 256;

/**
 * Checks exported files against their signed manifests, and the manifests against each other, without any network: finds
 * changed, missing and foreign files, edited, deleted, inserted and reordered rows, and a chain that was rewritten.
 */
export async function checkFiles(request: CheckRequest, deps: CheckDeps): Promise<CheckReport> {
  const verifiers = await readVerifiers(request.publicKeyFile);
  const given = await sortOut(await expand(request.files), verifiers);
  const before =
    request.previous === undefined
      ? undefined
      : readManifest(await readFile(request.previous), verifiers);
  const sorted = given.manifests.toSorted((a, b) => a.manifest.sequence - b.manifest.sequence);
  const problems = [...given.problems, ...chainProblems(sorted, before, request.head)];
  const named = new Set<string>();
  const checked: CheckedManifest[] = [];
  let filesChecked = 0;
  for (const { name, ...verified } of sorted) {
    const files = await fileProblems(verified, given.others, named);
    const rows = await rowProblems(verified.manifest, given.others, named, deps.openPlaintext);
    filesChecked += files.good;
    problems.push(...files.problems, ...rows.problems);
    checked.push(describe(name, verified, rows.checked));
  }
  const foreign = [...given.others.keys()].filter((name) => !named.has(name));
  problems.push(...foreign.map((name) => `${name}: no manifest names it`));
  return { manifests: checked, filesChecked, problems };
}

function describe(
  name: string,
  { manifest, sha256, keyName, keyId }: VerifiedManifest,
  rowsChecked: boolean,
): CheckedManifest {
  const { sequence, rows } = manifest;
  return { name, sequence, sha256, keyName, keyId, rows, rowsChecked };
}

async function expand(paths: readonly string[]): Promise<readonly string[]> {
  const all: string[] = [];
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) all.push(path);
    else {
      const entries = await readdir(path, { withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith(PREFIX));
      all.push(...files.map(({ name }) => join(path, name)));
    }
  }
  return all;
}

async function sortOut(
  paths: readonly string[],
  verifiers: readonly NoteVerifier[],
): Promise<Given> {
  const others = new Map<string, string>();
  const manifests: (VerifiedManifest & { name: string })[] = [];
  const problems: string[] = [];
  for (const path of new Set(paths)) {
    const name = basename(path);
    if (!(await isManifest(path))) {
      if (others.has(name)) problems.push(`${name}: given twice`);
      others.set(name, path);
      continue;
    }
    try {
      manifests.push({ name, ...readManifest(await readFile(path), verifiers) });
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  if (manifests.length === 0) problems.push("no manifest that is signed by the given key");
  return { others, manifests, problems };
}

/** By content or by name: a manifest whose beginning was damaged must not pass for some other file. */
async function isManifest(path: string): Promise<boolean> {
  if (path.endsWith(".manifest.note")) return true;
  const handle = await open(path, "r");
  const head = Buffer.alloc(HEAD_BYTES);
  await handle.read(head, 0, HEAD_BYTES, 0).finally(() => handle.close());
  return looksLikeManifest(head.toString("latin1"));
}

/** Each file must be there, in one of the forms in which a destination got it. */
async function fileProblems(
  { manifest }: VerifiedManifest,
  others: ReadonlyMap<string, string>,
  named: Set<string>,
): Promise<{ good: number; problems: string[] }> {
  const problems: string[] = [];
  let good = 0;
  for (const name of new Set(manifest.files.map((file) => file.name))) {
    const path = others.get(name);
    named.add(name);
    if (path === undefined) {
      if (manifest.files.some((file) => file.name === name && file.kept === true)) continue;
      problems.push(`${name}: is missing (manifest ${manifest.sequence} names it)`);
      continue;
    }
    const { sha256, bytes } = await hashFile(path);
    const builds = manifest.files.filter((file) => file.name === name);
    if (builds.some((build) => build.sha256 === sha256)) good += 1;
    else {
      const expected = builds.map((build) => build.bytes).join(" or ");
      problems.push(
        `${name}: was changed: ${bytes} bytes with SHA-256 ${sha256}, manifest ${manifest.sequence} says ` +
          `${expected} bytes with ${builds.map((build) => build.sha256).join(" or ")}`,
      );
    }
  }
  return { good, problems };
}
