import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** PEM files: an authority, a server's pair for 127.0.0.1, and a client's pair; made by openssl. */
export interface Certificates {
  readonly authority: string;
  readonly server: Pair;
  readonly client: Pair;
  remove(): Promise<void>;
}

interface Pair {
  readonly cert: string;
  readonly key: string;
}

export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-certificates-"));
  const path = (name: string): string => join(folder, name);
  const signed = async (name: string, ...more: readonly string[]): Promise<Pair> => {
    const pair = { cert: path(`${name}.pem`), key: path(`${name}.key`) };
    await promisify(execFile)("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-days", "1", "-subj", `/CN=${name}`, "-keyout", pair.key, "-out", pair.cert, ...more],
    ]);
    return pair;
  };
  const authority = await signed("authority", "-addext", "keyUsage=critical,keyCertSign");
  const byAuthority = ["-CA", authority.cert, "-CAkey", authority.key];
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
  const address = ["-addext", "subjectAltName=IP:127.0.0.1"];
  return {
    authority: authority.cert,
    server: await signed("server", ...byAuthority, ...leaf, ...address),
    client: await signed("client", ...byAuthority, ...leaf),
    remove: async () => rm(folder, { recursive: true }),
  };
}
