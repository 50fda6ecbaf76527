import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { programPath } from "./unprivileged.ts";

const GUIDE = join(import.meta.dirname, "../fixtures/audit/decrypt-guide.py");

/**
 * Opens an envelope as the decryption guide says, by Debian's python3-cryptography.
 *
 * @returns the path of what was in it, in `folder`
 */
export async function openEnvelopeByPython(
  envelope: string,
  kekFile: string,
  folder: string,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await promisify(execFile)(programPath("PYTHON"), [GUIDE, resolve(envelope), resolve(kekFile)], {
    cwd: folder,
  });
  const { original_filename: name } = JSON.parse(await readFile(envelope, "utf8")) as {
    original_filename: string;
  };
  return join(folder, name);
}

/** Tests a ZIP archive and unpacks it, by Python's own module. @returns what is in it */
export async function unzipByPython(archive: string): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(`${resolve(archive)}-`);
  try {
    for (const args of [
      ["-t", archive],
      ["-e", archive, folder],
    ])
      await promisify(execFile)(programPath("PYTHON"), ["-m", "zipfile", ...args]);
    const names = (await readdir(folder)).toSorted();
    const contents = names.map(async (name) => readFile(join(folder, name), "utf8"));
    return new Map((await Promise.all(contents)).map((text, n) => [names[n] ?? "", text]));
  } finally {
    await rm(folder, { recursive: true });
  }
}
