import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
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
