import { execFile } from "node:child_process";
import { chown, mkdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startServer } from "../../ops/test/server-process.ts";
import { placeServer, programPath, writePrivate, type ServerPlace } from "./unprivileged.ts";

const run = promisify(execFile);

export interface SftpServer {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** OpenSSH private key (ed25519) that may log in. */
  readonly privateKey: string;
  /** As `ssh-keygen -l` prints it: SHA256:<base64 without padding>. */
  readonly hostKeySha256: string;
  /** Where a session starts, as a path on disk: there is no chroot, which only root could make. */
  readonly folder: string;
  readonly stop: () => Promise<void>;
}

export interface SftpServerOptions {
  /** All that its folder has room for, which takes root; undefined: as much as the disk has. */
  readonly roomBytes?: number | undefined;
  /** What a session runs in place of the SFTP server. */
  readonly command?: string | undefined;
}

/**
 * Starts a real sshd that serves nothing but SFTP. It runs as the unprivileged user and, not being root, lets that
 * user and no other log in; no account is made.
 */
export async function startSftpServer(options: SftpServerOptions = {}): Promise<SftpServer> {
  const place = await placeServer("sshd");
  const hostKey = await generateKey(place, "host_ed25519");
  const clientKey = await generateKey(place, "client_ed25519");
  const folder = join(place.folder, "upload");
  await mkdir(folder);
  const { uid, gid } = place.account;
  if (uid !== undefined) await chown(folder, uid, gid ?? uid);

  const username = await nameOf(uid);
  const configPath = join(place.folder, "sshd_config");
  const authorized = join(place.folder, "authorized_keys");
  await writePrivate(authorized, await readFile(`${clientKey}.pub`, "utf8"), place.account);
  const command = options.command ?? `internal-sftp -d ${folder}`;
  await writePrivate(
    configPath,
    sshdConfig({ place, hostKey, authorized, command, username }),
    place.account,
  );
  // By its absolute path: sshd executes itself again for each connection.
  const line = [programPath("SSHD"), "-D", "-e", "-f", configPath];
  const { roomBytes } = options;
  const limited = roomBytes === undefined ? undefined : withRoom(place, folder, roomBytes, line);
  const [program = "", ...args] = limited ?? line;
  const server = await startServer({
    ...place,
    ...(limited === undefined ? {} : { account: {} }),
    program,
    args,
    ready: () => sendsBanner(place.port),
  });
  return {
    host: "127.0.0.1",
    port: place.port,
    username,
    privateKey: await readFile(clientKey, "utf8"),
    hostKeySha256: await fingerprint(`${hostKey}.pub`),
    folder: limited === undefined ? folder : `/proc/${server.pid}/root${folder}`,
    stop: () => server.stop(),
  };
}

/** The same program where `folder` is a small disk of its own, in a mount namespace that ends with it. */
function withRoom(
  { account }: ServerPlace,
  folder: string,
  bytes: number,
  line: readonly string[],
): readonly string[] {
  const unshare = programPath("UNSHARE");
  const { uid = 0, gid = uid } = account;
  const mount = `mount -t tmpfs -o size=${bytes},mode=0700,uid=${uid},gid=${gid} tmpfs "${folder}"`;
  const drop = [unshare, `--setgid=${gid}`, `--setuid=${uid}`, "--", ...line];
  const inside = ["sh", "-c", `${mount} && exec "$@"`, "sh", ...drop];
  return [unshare, "--mount", "--propagation", "private", ...inside];
}

interface SshdSettings {
  readonly place: ServerPlace;
  readonly hostKey: string;
  readonly authorized: string;
  readonly command: string;
  readonly username: string;
}

/**
 * UsePAM, because without it an sshd that may not read /etc/shadow takes every account for a locked one. No StrictModes,
 * because the key file is not below the user's home. The rest closes everything but SFTP.
 */
function sshdConfig({ place, hostKey, authorized, command, username }: SshdSettings): string {
  return `Port ${place.port}
ListenAddress 127.0.0.1
HostKey ${hostKey}
PidFile none
UsePAM yes
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile ${authorized}
AllowUsers ${username}
Subsystem sftp internal-sftp
ForceCommand ${command}
DisableForwarding yes
PermitTTY no
MaxStartups 100:30:200
LogLevel VERBOSE
`;
}

/** A new ed25519 key in the server's folder, its user's. @returns its path; the public half is beside it */
export async function generateKey(place: ServerPlace, name: string): Promise<string> {
  const path = join(place.folder, name);
  const args = ["-q", "-t", "ed25519", "-N", "", "-C", "fettle-test", "-f", path];
  await run(programPath("SSH_KEYGEN"), args, { ...place.account, cwd: place.folder });
  return path;
}

/** Of a public key in a file; see {@link SftpServer.hostKeySha256}. */
export async function fingerprint(publicKey: string): Promise<string> {
  const { stdout } = await run(programPath("SSH_KEYGEN"), ["-l", "-E", "sha256", "-f", publicKey]);
  const printed = /SHA256:\S+/.exec(stdout);
  if (printed === null) throw new Error(`ssh-keygen printed no fingerprint: ${stdout}`);
  return printed[0];
}

/** sshd refuses a user without an entry in the user database, so an unnamed number is an error here already. */
async function nameOf(uid: number | undefined): Promise<string> {
  if (uid === undefined) return userInfo().username;
  const { stdout } = await run("getent", ["passwd", String(uid)]);
  const [name] = stdout.split(":");
  if (name === undefined || name === "") throw new Error(`user ${uid} has no name`);
  return name;
}

/** An accepted connection is not enough: sshd listens before it has loaded its keys for a child. */
export async function sendsBanner(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once("data", (data) => {
      resolve(data.toString().startsWith("SSH-2.0"));
      socket.destroy();
    });
    socket.once("error", () => undefined); // refused while it starts; "close" follows
    socket.once("close", () => {
      resolve(false);
    });
  });
}
