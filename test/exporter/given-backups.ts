import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { takeBackup, type BackupDeps } from "../../exporter/backup.ts";
import type { Signer } from "../../exporter/manifest.ts";
import type { NoteVerifier } from "../../lib/signed-note.ts";
import { fakeClock } from "../fakes/clock.ts";

/** A signer, and the key by which his notes are checked. */
export function givenSigner(keyName = "backups"): { signer: Signer; verifier: NoteVerifier } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { signer: { keyName, privateKey }, verifier: { keyName, publicKey } };
}

/** Both halves of a signing key in files, as an operator has them. */
export async function givenKeyFiles(folder: string, name: string) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signing = join(folder, `${name}.pem`);
  const pub = join(folder, `${name}.pub`);
  const pem = publicKey.export({ format: "pem", type: "spki" }).toString();
  await writeFile(signing, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  await writeFile(pub, pem);
  return { signing, pub, pem };
}

/** Takes backups of a "database" of 2,500 random bytes in three unsealed parts, on the days that are asked for. */
export async function takerOf(
  workFolder: string,
  fixed: Pick<BackupDeps, "destinations"> & Partial<BackupDeps>,
) {
  await mkdir(workFolder, { recursive: true, mode: 0o700 });
  return async (
    day: string,
    { keep, ...more }: Partial<BackupDeps> & { readonly keep?: number } = {},
  ) =>
    takeBackup(keep, {
      identify: async () => Promise.resolve({ system: "1", name: "fettle" }),
      dump: () => ({
        stdout: Readable.from([randomBytes(2_500)]),
        ended: Promise.resolve(),
        abandon: () => undefined,
      }),
      sealing: {
        recipients: [],
        wrappers: [],
        encryptTo: () => {
          throw new Error("nobody to encrypt to");
        },
        wrapRules: { quorum: undefined, selftest: false },
      },
      signer: undefined,
      trust: "anybody",
      partBytes: 1_000,
      workFolder,
      clock: fakeClock(day),
      onBytes: () => undefined,
      ...fixed,
      ...more,
    });
}
