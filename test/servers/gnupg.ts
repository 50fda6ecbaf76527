import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { placeServer, programPath, writePrivate } from "./unprivileged.ts";

const run = promisify(execFile);
/** A decrypted export in a test is small. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** The gpg of the machine with a keyring of its own. */
export interface Gnupg {
  /** GNUPGHOME */
  readonly home: string;
  /** @param armored the key as text; a private one must have no passphrase */
  readonly importKey: (armored: string) => Promise<void>;
  readonly decryptFile: (path: string) => Promise<Buffer>;
  /** Runs gpg on this keyring. @returns what it prints */
  readonly run: (...args: readonly string[]) => Promise<Buffer>;
  /** Ends the agent that gpg started by itself. */
  readonly stop: () => Promise<void>;
}

/**
 * Makes an empty keyring; the folder's path is short because the agent's socket lies in it.
 *
 * @param program which gpg, by the name that `programPath` knows
 */
export async function startGnupg(program = "GPG"): Promise<Gnupg> {
  const place = await placeServer("gpg");
  const home = join(place.folder, "home");
  await mkdir(home, { mode: 0o700 });
  // Not as the unprivileged user: the files to decrypt are the test's own, and gpg is no server.
  const env = { ...process.env, GNUPGHOME: home, LC_ALL: "C.UTF-8" };
  const gpg = async (...args: readonly string[]) =>
    run(programPath(program), ["--batch", "--quiet", ...args], {
      env,
      encoding: "buffer",
      maxBuffer: OUTPUT_BYTES_MAX,
    });
  let keys = 0;
  return {
    home,
    importKey: async (armored) => {
      const path = join(place.folder, `key-${(keys += 1)}.asc`);
      await writePrivate(path, armored, {});
      await gpg("--import", path);
    },
    decryptFile: async (path) => (await gpg("--decrypt", path)).stdout,
    run: async (...args) => (await gpg(...args)).stdout,
    stop: async () => {
      await run(programPath("GPGCONF"), ["--kill", "all"], { env });
    },
  };
}
