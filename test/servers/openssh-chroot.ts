import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { startServer } from "../../ops/test/server-process.ts";
import { placeEngine } from "./namespace.ts";
import { fingerprint, generateKey, sendsBanner } from "./openssh.ts";
import { programPath } from "./unprivileged.ts";

const run = promisify(execFile);

export interface ChrootedSftpServer {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** As `ssh-keygen -l` prints it: SHA256:<base64 without padding>. */
  readonly hostKeySha256: string;
  /** The only folder that the user may write to, as sessions see it. */
  readonly folder: string;
  /** The root of what sessions see, as a path on disk. */
  readonly root: string;
  readonly stop: () => Promise<void>;
}

const USERNAME = "fettle-sftp";
/** Of no range that Debian gives numbers from. */
const UID = 59_999;
const FOLDER = "/incoming";

/**
 * In mounts of its own: the machine gets no user, no /run/sshd, and no failed login in its logs. All components of a
 * chroot's path must be root's and nobody else's to write, which /tmp is not, so /run is ours.
 */
const HIDE = `set -e
mount --bind "$PLACE/passwd" /etc/passwd
mount --bind "$PLACE/shadow" /etc/shadow
mount --bind "$PLACE/group" /etc/group
mount --bind "$PLACE/var-log" /var/log
mount --bind "$PLACE/run" /run
mount --bind "$PLACE/pam" /etc/pam.d/sshd
exec "$@"`;

/** How the server takes the password: as one, or as the answer to PAM's question (keyboard-interactive). */
type Asking = "password" | "keyboard";

/** What a machine that has its users in files asks, and nothing else. */
const PAM = `auth required pam_unix.so
account required pam_unix.so
session required pam_permit.so
`;

/**
 * Starts a real sshd as banks and partners run it: a password logs in, and sessions are shut in a folder of root's.
 *
 * @throws Error when we are not root, which logins of others and a chroot need
 */
export async function startChrootedSftpServer(
  asking: Asking = "password",
): Promise<ChrootedSftpServer> {
  const place = await placeEngine("sshd", "shuts its users in a folder (ChrootDirectory)");
  const at = (name: string) => join(place.folder, name);
  const password = randomBytes(16).toString("base64url");
  const root = at("run/jail");
  for (const folder of [at("run"), at("run/sshd"), root, at("var-log")]) {
    await mkdir(folder, { mode: 0o755 });
  }
  await mkdir(join(root, FOLDER), { mode: 0o700 });
  await chown(join(root, FOLDER), UID, UID);
  await addUser(place.folder, password);
  const hostKey = await generateKey(place, "host_ed25519");
  await writeFile(at("sshd_config"), sshdConfig(place.port, hostKey, asking));
  await writeFile(at("pam"), PAM);

  const sshd = [programPath("SSHD"), "-D", "-e", "-f", at("sshd_config")];
  const server = await startServer({
    ...place,
    program: programPath("UNSHARE"),
    args: ["--mount", "--propagation", "private", "sh", "-c", HIDE, "sh", ...sshd],
    env: { PLACE: place.folder },
    ready: async () => sendsBanner(place.port),
  });
  return {
    host: "127.0.0.1",
    port: place.port,
    username: USERNAME,
    password,
    hostKeySha256: await fingerprint(`${hostKey}.pub`),
    folder: FOLDER,
    root,
    stop: () => server.stop(),
  };
}

/** Copies of the machine's users in `folder`, and one more; first, so that it is found whoever else has its name. */
async function addUser(folder: string, password: string): Promise<void> {
  // By its standard input: arguments are for everybody to see.
  const hashing = run(programPath("OPENSSL"), ["passwd", "-6", "-stdin"]);
  hashing.child.stdin?.end(password);
  const hash = (await hashing).stdout.trim();
  const lines = {
    passwd: `${USERNAME}:x:${UID}:${UID}::/:/usr/sbin/nologin`,
    shadow: `${USERNAME}:${hash}:19000:0:99999:7:::`,
    group: `${USERNAME}:x:${UID}:`,
  };
  for (const [name, line] of Object.entries(lines)) {
    const others = await readFile(join("/etc", name), "utf8");
    const mode = name === "shadow" ? 0o600 : 0o644;
    await writeFile(join(folder, name), `${line}\n${others}`, { mode });
  }
}

function sshdConfig(port: number, hostKey: string, asking: Asking): string {
  const [password, keyboard] = asking === "password" ? ["yes", "no"] : ["no", "yes"];
  return `Port ${port}
ListenAddress 127.0.0.1
HostKey ${hostKey}
PidFile none
UsePAM ${keyboard}
StrictModes yes
PasswordAuthentication ${password}
KbdInteractiveAuthentication ${keyboard}
PubkeyAuthentication no
AllowUsers ${USERNAME}
ChrootDirectory /run/jail
Subsystem sftp internal-sftp
ForceCommand internal-sftp
DisableForwarding yes
PermitTTY no
MaxStartups 100:30:200
LogLevel VERBOSE
`;
}
