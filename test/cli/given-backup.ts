import { cp, mkdir, mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import pg from "pg";
import type { FakeKms } from "../fakes/kms.ts";

/** The fake as a second wrapping key. */
export function keysAt(
  gcp: FakeKms & { readonly keyName: string },
): Readonly<Record<string, string>> {
  return { GCP_KMS_KEY: gcp.keyName, GCP_KMS_ENDPOINT: gcp.url };
}

/** A PATH on which PostgreSQL's programs are only those that are given. */
export async function programs(
  folder: string,
  scripts: Readonly<Record<string, string>>,
): Promise<string> {
  const bin = await mkdtemp(join(folder, "bin-"));
  for (const name of ["sh", "dirname", "readlink", "head"])
    await symlink(`/usr/bin/${name}`, join(bin, name));
  for (const [name, script] of Object.entries(scripts))
    await writeFile(join(bin, name), script, { mode: 0o755 });
  return bin;
}

interface Manifest {
  readonly name: string;
  readonly database: { readonly system: string; readonly name: string };
  readonly sealed: readonly string[];
  readonly keysMissing: readonly string[];
  readonly parts: readonly { readonly name: string; readonly keyIds?: object }[];
  readonly dumpBytes: number;
}

/** Of an unsigned backup; its path is that of its files without their endings. */
export async function manifestOf(backup: string): Promise<Manifest> {
  return JSON.parse(await readFile(manifestFile(backup), "utf8")) as Manifest;
}

export function manifestFile(backup: string): string {
  return `${backup}.manifest.json`;
}

/** A copy of an unsigned backup under another name, with what is changed in its manifest. */
export async function copyAs(
  backup: string,
  copy: string,
  change: (manifest: Manifest) => object = () => ({}),
): Promise<void> {
  const manifest = await manifestOf(backup);
  const renamed = (name: string) => name.replace(basename(backup), basename(copy));
  await mkdir(dirname(copy), { recursive: true });
  for (const { name } of manifest.parts)
    await cp(join(dirname(backup), name), join(dirname(copy), renamed(name)));
  const parts = manifest.parts.map((part) => ({ ...part, name: renamed(part.name) }));
  const changed = { ...manifest, name: basename(copy), parts, ...change(manifest) };
  await writeFile(manifestFile(copy), JSON.stringify(changed));
}

/** Where `fettle backup --to <folder> --json` says that it has put it. */
export function takenInto(folder: string, stdout: string): string {
  return join(folder, (JSON.parse(stdout) as { name: string }).name);
}

export async function query<Row extends object>(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}
