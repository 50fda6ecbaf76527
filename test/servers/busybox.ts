import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { programPath } from "./unprivileged.ts";

const run = promisify(execFile);

const FOLDERS = ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "run"] as const;

/** Says that it has booted, and goes at once when it is asked to, where busybox' own init takes two seconds over it. */
const INIT = `#!/bin/sh
trap 'exit 0' PWR TERM
ip link set lo up
[ -e /sys/class/net/eth0 ] && ip link set eth0 up
echo booted > /dev/console
while :; do sleep 1 & wait $!; done
`;

/** Makes the smallest system that boots and has a shell: one static program under many names. @returns its folder */
export async function makeBusyboxSystem(folder: string): Promise<string> {
  const root = join(folder, "rootfs");
  for (const each of FOLDERS) await mkdir(join(root, each), { recursive: true });
  const busybox = programPath("BUSYBOX");
  await copyFile(busybox, join(root, "bin/busybox"));
  const { stdout } = await run(busybox, ["--list"]);
  for (const name of stdout.split("\n").filter((each) => !["", "busybox"].includes(each))) {
    await symlink("busybox", join(root, "bin", name));
  }
  await writeFile(join(root, "sbin/init"), INIT);
  await chmod(join(root, "sbin/init"), 0o755);
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
  return root;
}

/** A tar of what is in the folder; `entries` are named as they shall stand in it. */
export async function tarOf(
  folder: string,
  entries: readonly string[],
  path: string,
): Promise<string> {
  await run("tar", ["-C", folder, "--numeric-owner", "--owner=0", "-cf", path, ...entries]);
  return path;
}
