import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import { folderDestination } from "../../exporter/adapters/folder.ts";
import { sftpDestination, type SftpOptions } from "../../exporter/adapters/sftp.ts";
import type { Artifact, Destination, Verification } from "../../exporter/types.ts";
import { Secret } from "../../lib/secret.ts";
import type { StoreFault } from "../fakes/s3.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { CLOUDS } from "../lib/storage/given-store.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { tempFolder } from "./given.ts";

export interface GivenDestination {
  readonly destination: Destination;
  readonly verifies: Verification;
  /** Between it and its server; a folder has none. */
  readonly proxy?: TcpProxy | undefined;
  readonly setFault?: ((fault: StoreFault) => void) | undefined;
  readonly stop: () => Promise<void>;
}

const VERIFIES: Readonly<Record<string, Verification>> = {
  S3: "server-hash(sha256)",
  "Google Cloud Storage": "server-hash(crc32c)",
  "Azure Blob Storage": "server-hash(md5)",
  "Google Drive": "server-hash(sha256)",
  Dropbox: "server-hash(content-hash)",
  "Microsoft Graph": "server-hash(quickxor)",
};

export const DESTINATIONS: readonly (readonly [string, () => Promise<GivenDestination>])[] = [
  ["a folder", givenFolder],
  ["SFTP", givenSftp],
  ...CLOUDS.map(([name, start]) => {
    const given = async (): Promise<GivenDestination> => {
      const { store, proxy, setFault, stop } = await start();
      const verifies = VERIFIES[name] ?? "not-verified";
      const lockedUntil = () => undefined;
      const destination = blobDestination({ name, store, lockedUntil });
      return { destination, verifies, proxy, setFault, stop };
    };
    return [name, given] as const;
  }),
];

async function givenFolder(): Promise<GivenDestination> {
  const { path, remove } = await tempFolder();
  const destination = folderDestination(join(path, "not", "there", "yet"));
  return { destination, verifies: "read-back-sha256", stop: remove };
}

async function givenSftp(): Promise<GivenDestination> {
  const server = await startSftpServer();
  const proxy = await startTcpProxy(server);
  const destination = sftpDestination({ ...sftpOptions(server), port: proxy.port });
  const stop = async () => {
    await proxy.stop();
    await server.stop();
  };
  return { destination, verifies: "read-back-sha256", proxy, stop };
}

/** How our user logs in. */
export function sftpOptions({ host, port, username, ...server }: SftpServer): SftpOptions {
  return {
    host,
    port,
    username,
    password: undefined,
    privateKey: new Secret(server.privateKey),
    passphrase: undefined,
    remoteDir: ".",
    verify: "sha256",
    hostKeys: { fingerprints: [server.hostKeySha256], knownHosts: undefined },
  };
}

/** A built file with this content. */
export async function artifactOf(
  folder: string,
  name: string,
  content: Buffer,
  known: readonly string[] = [],
): Promise<Artifact> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await rm(path, { force: true }); // as the exporter does: a destination may hold this very file under another name
  await writeFile(path, content);
  const sha256 = createHash("sha256").update(content).digest("hex");
  return {
    name,
    path,
    exportId: "11111111-2222-3333-4444-555555555555",
    bytes: content.length,
    sha256,
    plaintextBytes: 0,
    plaintextSha256: "",
    rows: 1,
    knownSha256: new Set([sha256, ...known]),
  };
}

export async function downloaded(
  destination: Destination,
  name: string,
  folder: string,
): Promise<Buffer> {
  const path = join(folder, `${name}-${crypto.randomUUID()}`);
  await destination.download(name, path);
  return readFile(path);
}
