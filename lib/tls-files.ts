import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsFiles, TlsTexts } from "./access.ts";
import { messageOf } from "./error.ts";
import { Secret } from "./secret.ts";

/** One file that cannot be used, and why. */
export interface TlsProblem {
  readonly file: keyof TlsFiles;
  readonly text: string;
}

/** Reads the files, and whether they can be used together; with problems the texts are not to be used. */
export function readTlsFiles(files: TlsFiles): {
  readonly texts: TlsTexts;
  readonly problems: readonly TlsProblem[];
} {
  const problems: TlsProblem[] = [];
  const read = (file: keyof TlsFiles, check: (pem: string) => unknown): string | undefined => {
    const path = files[file];
    if (path === undefined) return undefined;
    try {
      const pem = readFileSync(path, "utf8");
      check(pem);
      return pem;
    } catch (error) {
      problems.push({ file, text: `${path}: ${messageOf(error)}` });
      return undefined;
    }
  };
  const isCertificate = (pem: string): unknown => new X509Certificate(pem);
  const ca = read("ca", isCertificate);
  const cert = read("cert", isCertificate);
  const key = read("key", createPrivateKey);
  if (cert !== undefined && key !== undefined) {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      problems.push({ file: "key", text: `does not fit the certificate: ${messageOf(error)}` });
    }
  }
  return { texts: { ca, cert, key: key === undefined ? undefined : new Secret(key) }, problems };
}
