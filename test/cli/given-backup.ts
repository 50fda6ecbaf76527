import { mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
  readonly database: { readonly system: string; readonly name: string };
  readonly sealed: readonly string[];
  readonly keysMissing: readonly string[];
  readonly parts: readonly { readonly name: string; readonly keyIds?: object }[];
  readonly dumpBytes: number;
}

export async function manifestOf(taken: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(taken, "manifest.json"), "utf8")) as Manifest;
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
