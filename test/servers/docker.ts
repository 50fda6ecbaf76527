import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";
import { makeBusyboxSystem, tarOf } from "./busybox.ts";
import { placeEngine, startInNamespace } from "./namespace.ts";
import { programPath, type ServerPlace } from "./unprivileged.ts";

export interface Engine {
  readonly socket: string;
  /** What containers can be made from. */
  readonly image: string;
  readonly stop: () => Promise<void>;
}

const IMAGE = "localhost/bb:latest";

/** A real dockerd with an image of busybox. */
export async function startDocker(): Promise<Engine> {
  const place = await placeEngine("docker");
  const at = (name: string) => join(place.folder, name);
  const socket = at("engine.socket");
  return startEngine(place, {
    program: programPath("DOCKERD"),
    args: [
      ...["-H", `unix://${socket}`, "--data-root", at("data"), "--exec-root", at("exec")],
      ...["--pidfile", at("pid")],
    ],
    env: {},
  });
}

/** Podman's own limits are above what this machine's root may set; the rest is what it needs without systemd. */
const CONTAINERS_CONF = (folder: string) => `[containers]
default_ulimits = ["nofile=20000:20000","nproc=32768:32768"]
log_driver = "k8s-file"
apparmor_profile = ""
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "${folder}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "${folder}/networks"
`;
const STORAGE_CONF = (folder: string) => `[storage]
driver = "vfs"
graphroot = "${folder}/graph"
runroot = "${folder}/run"
`;

/** A real Podman behind its Docker API, with an image of busybox. */
export async function startPodman(): Promise<Engine> {
  const place = await placeEngine("podman");
  const at = (name: string) => join(place.folder, name);
  await writeFile(at("containers.conf"), CONTAINERS_CONF(place.folder));
  await writeFile(at("storage.conf"), STORAGE_CONF(place.folder));
  return startEngine(place, {
    program: programPath("PODMAN"),
    args: ["system", "service", "--time=0", `unix://${at("engine.socket")}`],
    env: {
      CONTAINERS_CONF: at("containers.conf"),
      CONTAINERS_STORAGE_CONF: at("storage.conf"),
    },
  });
}

async function startEngine(
  place: ServerPlace,
  command: { program: string; args: readonly string[]; env: Record<string, string> },
): Promise<Engine> {
  const socket = join(place.folder, "engine.socket");
  const agent = new Agent({ connect: { socketPath: socket } });
  const server = await startInNamespace(place, {
    ...command,
    ready: async () => answers(agent),
  });
  try {
    await makeBusyboxSystem(place.folder);
    const tar = await tarOf(join(place.folder, "rootfs"), ["."], join(place.folder, "image.tar"));
    const [repo = "", tag = ""] = IMAGE.split(/:(?=[^:]*$)/);
    // Podman takes the tag with the name, and Docker takes it either way.
    const query = new URLSearchParams({ fromSrc: "-", repo: `${repo}:${tag}` }).toString();
    const { statusCode, body } = await request(`http://engine/images/create?${query}`, {
      method: "POST",
      dispatcher: agent,
      headers: { "content-type": "application/x-tar" },
      body: createReadStream(tar),
    });
    const said = await body.text();
    if (statusCode !== 200) throw new Error(`the image was not taken: ${said}`);
  } catch (error) {
    await server.stop();
    throw error;
  } finally {
    await agent.destroy();
  }
  return { socket, image: IMAGE, stop: () => server.stop() };
}

async function answers(agent: Agent): Promise<boolean> {
  try {
    const { statusCode, body } = await request("http://engine/_ping", { dispatcher: agent });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}
