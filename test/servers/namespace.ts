import { mkdir } from "node:fs/promises";
import { startServer, type ServerProcess } from "../../ops/test/server-process.ts";
import { placeServer, programPath, type ServerPlace } from "./unprivileged.ts";

/**
 * /sys shows the network devices of the namespace that it was mounted in, so it is mounted anew; the cgroups below it must
 * stay. /proc likewise shows the processes of its namespace. What is of another release lies over /usr, and only in here.
 */
const ENTER = `set -e
mkdir -p "$PLACE/cgroup"
mount --rbind /sys/fs/cgroup "$PLACE/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$PLACE/cgroup" /sys/fs/cgroup
umount -l "$PLACE/cgroup"
[ -z "$OVER" ] || mount -t overlay overlay -o "lowerdir=$OVER/usr:/usr" /usr
mount -t proc proc /proc
ip link set lo up
exec "$@"`;

export interface NamespaceServer {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly ready: () => Promise<boolean>;
  /** A process whose network it shall share, instead of one of its own. */
  readonly networkOf?: number | undefined;
  /** A folder whose `usr` it shall find in front of the machine's own. */
  readonly over?: string | undefined;
}

/** A root's folder for an engine, or for what else `does` something that only root may. @throws Error when we are not root */
export async function placeEngine(name: string, does = "runs containers"): Promise<ServerPlace> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      `${name} ${does} and needs root; run the tests as root (in a container or a virtual machine)`,
    );
  }
  const place = await placeServer(name);
  await mkdir(place.folder, { recursive: true });
  return { ...place, account: {} };
}

/**
 * Starts a daemon of root's in processes, mounts and networks of its own: whatever it makes there, bridges, mounts and containers
 * included, is gone when its first process is, however that ends. Nothing of the machine's own network is touched.
 */
export async function startInNamespace(
  place: ServerPlace,
  { program, args, env, ready, networkOf, over = "" }: NamespaceServer,
): Promise<ServerProcess> {
  const spaces = ["--mount", "--pid", "--fork", "--propagation", "private"];
  const own = [...spaces, "--kill-child=SIGKILL", "sh", "-c", ENTER, "sh", program, ...args];
  const [first, ...more] =
    networkOf === undefined
      ? [programPath("UNSHARE"), "--net", ...own]
      : [programPath("NSENTER"), `--net=/proc/${networkOf}/ns/net`, programPath("UNSHARE"), ...own];
  return startServer({
    ...place,
    program: first,
    args: more,
    env: { PATH: ENGINE_PATH, PLACE: place.folder, OVER: over, ...env },
    stopSignal: "SIGKILL",
    ready,
  });
}

/** The engines call iptables, nft, dnsmasq and the like by their names. */
const ENGINE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
