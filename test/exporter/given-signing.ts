import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A key that signs manifests, and what checks them, in files of `folder`. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  /** AUDIT_SIGNING_KEY_FILE */
  readonly file: string;
  readonly publicKeyFile: string;
}

export async function givenSigningKey(folder: string): Promise<SigningKey> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const [file, publicKeyFile] = [join(folder, "sign.pem"), join(folder, "sign.pub")];
  await writeFile(file, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  const pub = createPublicKey(privateKey).export({ format: "pem", type: "spki" });
  await writeFile(publicKeyFile, pub);
  return { privateKey, file, publicKeyFile };
}
