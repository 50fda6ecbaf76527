import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { sftpDestination } from "../../../exporter/adapters/sftp.ts";
import type { Artifact } from "../../../exporter/types.ts";
import { Secret } from "../../../lib/secret.ts";
import { startSftpServer, type SftpServer } from "../../servers/openssh.ts";
import { programPath } from "../../servers/unprivileged.ts";

// `node sftp.ts ROUNDS`: an upload, synced to the server's disk, that is read back: by us and by OpenSSH's own client, to the same
// server on loopback. A process of its own, with an export's flags.

const BYTES = 200 * 1024 * 1024;
const run = promisify(execFile);

interface SftpRates {
  /** Megabytes a second: the file's size by the time for both ways. */
  readonly ours: number;
  readonly openssh: number;
}

/** The best of so many rounds, by turns. */
async function measureSftp(rounds: number): Promise<SftpRates> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-bench-sftp-"));
  const server = await startSftpServer();
  try {
    const content = randomBytes(BYTES);
    const path = join(folder, "file");
    await writeFile(path, content);
    const artifact = artifactOf(path, content);
    const ours: number[] = [];
    const openssh: number[] = [];
    for (let round = 0; round < rounds; round++) {
      ours.push(await timed(async () => upload(server, artifact)));
      await unlink(join(server.folder, artifact.name));
      openssh.push(await timed(async () => byOpenssh(server, path, folder)));
      await unlink(join(server.folder, "file"));
    }
    const rate = (seconds: readonly number[]) => BYTES / 1e6 / Math.min(...seconds);
    return { ours: rate(ours), openssh: rate(openssh) };
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
}

function artifactOf(path: string, content: Buffer): Artifact {
  const sha256 = createHash("sha256").update(content).digest("hex");
  const inside = { plaintextBytes: BYTES, plaintextSha256: sha256, rows: 0 };
  const known = { knownSha256: new Set([sha256]), exportId: "bench" };
  return { name: "bench", path, bytes: BYTES, sha256, ...inside, ...known };
}

async function upload(server: SftpServer, artifact: Artifact): Promise<void> {
  const destination = sftpDestination({
    host: server.host,
    port: server.port,
    username: server.username,
    password: undefined,
    privateKey: new Secret(server.privateKey),
    passphrase: undefined,
    remoteDir: ".",
    verify: "sha256",
    hostKeys: { fingerprints: [server.hostKeySha256], knownHosts: undefined },
  });
  const { verifiedBy } = await destination.upload(artifact);
  if (verifiedBy !== "read-back-sha256") throw new Error(`verified by ${verifiedBy}`);
}

async function byOpenssh(server: SftpServer, path: string, folder: string): Promise<void> {
  const key = join(folder, "id");
  await writeFile(key, server.privateKey, { mode: 0o600 });
  const batch = join(folder, "batch");
  await writeFile(batch, `put -f ${path} file\nget file ${join(folder, "back")}\n`);
  const sftp = programPath("SSH_KEYGEN").replace(/ssh-keygen$/, "sftp");
  await run(sftp, [
    ...["-q", "-b", batch, "-i", key, "-P", String(server.port), "-F", "/dev/null"],
    ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"],
    `${server.username}@${server.host}`,
  ]);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

process.stdout.write(JSON.stringify(await measureSftp(Number(process.argv[2]))));
