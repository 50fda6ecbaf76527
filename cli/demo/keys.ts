import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Files with the demo's keys. Real keys, but nobody's: they lie beside what they open. */
export interface DemoKeys {
  readonly localKeyFile: string;
  readonly pgpPublicKeyFile: string;
  readonly pgpPrivateKeyFile: string;
}

/** Makes an auditor's OpenPGP key pair (of the kind that gpg 2.2 reads) and the 32-byte key of the envelope. */
export async function makeKeys(folder: string): Promise<DemoKeys> {
  const { generateKey } = await import("openpgp");
  const { publicKey, privateKey } = await generateKey({
    type: "ecc",
    curve: "curve25519Legacy",
    userIDs: [{ name: "Demo Auditor", email: "auditor@example.com" }],
    format: "armored",
  });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const keys = {
    localKeyFile: join(folder, "local.key"),
    pgpPublicKeyFile: join(folder, "auditor.pub.asc"),
    pgpPrivateKeyFile: join(folder, "auditor.key.asc"),
  };
  await writeFile(keys.localKeyFile, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  await writeFile(keys.pgpPublicKeyFile, publicKey, { mode: 0o600 });
  await writeFile(keys.pgpPrivateKeyFile, privateKey, { mode: 0o600 });
  return keys;
}
