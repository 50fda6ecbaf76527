import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { decryptFile } from "../../../exporter/main.ts";
import type { Vault } from "../../../hypervisor/snapshots-export/types.ts";
import { localKeyWrapper } from "../../../lib/adapters/kms/local.ts";
import { openFolderStore } from "../../../lib/adapters/storage/folder.ts";
import { silentLog } from "../../../lib/log.ts";
import { localKeyFile } from "../../exporter/given.ts";

const run = promisify(execFile);

/** Where nothing can be exported. */
export const noVault: Vault = {
  store: undefined,
  placeVariables: ["HYPERVISOR_EXPORT_DIR"],
  keys: new Set(),
  openKeys: async () => Promise.resolve([]),
  quorum: undefined,
  selftest: true,
  partBytes: 1_000_000,
  log: silentLog,
};

export interface FolderVault extends Vault {
  readonly keyFile: string;
  readonly out: string;
}

/** Seals under a key of its own, into `folder/out`. */
export async function folderVault(folder: string): Promise<FolderVault> {
  const keyFile = await localKeyFile(folder, "vault.key");
  const out = join(folder, "out");
  return {
    ...noVault,
    store: openFolderStore(out),
    keys: new Set(["local"] as const),
    openKeys: async () => [await localKeyWrapper(keyFile)],
    keyFile,
    out,
  };
}

/** Opens sealed parts as `fettle decrypt` does, and puts them together into `folder/whole.tar`. */
export async function openTar(
  parts: readonly string[],
  localKeyFile: string,
  folder: string,
): Promise<string> {
  const pieces: Buffer[] = [];
  for (const [at, file] of parts.entries()) {
    const output = join(folder, `part-${at}`);
    await decryptFile({ file, localKeyFile, output });
    pieces.push(await readFile(output));
  }
  const tar = join(folder, "whole.tar");
  await writeFile(tar, Buffer.concat(pieces));
  return tar;
}

/** The contents of all files of this path in a tar, and in the tars within it: engines put layers into layers. */
export async function findInTar(
  tar: string,
  path: RegExp,
  folder: string,
): Promise<readonly string[]> {
  const { stdout } = await run("tar", ["-tf", tar], { maxBuffer: 1 << 26 });
  const here = stdout.split("\n").filter((name) => path.test(name));
  const found = await Promise.all(
    here.map(async (name) => (await run("tar", ["-xOf", tar, name])).stdout),
  );
  await run("tar", ["-xf", tar, "-C", folder, "--wildcards", "*.tar", "blobs/*"]).catch(
    () => undefined, // there is none of the kind
  );
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const inner = join(entry.parentPath, entry.name);
    if (!entry.isFile() || inner === tar) continue;
    const listed = await run("tar", ["-tf", inner]).catch(() => undefined); // a configuration's JSON
    for (const name of listed?.stdout.split("\n").filter((each) => path.test(each)) ?? [])
      found.push((await run("tar", ["-xOf", inner, name])).stdout);
  }
  return found;
}
