import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Agent, request } from "undici";
import { makeBusyboxSystem, tarOf } from "./busybox.ts";
import { placeEngine, startInNamespace } from "./namespace.ts";
import { programPath } from "./unprivileged.ts";

const run = promisify(execFile);

export interface Lxd {
  readonly socket: string;
  /** What containers can be made from. */
  readonly image: string;
  readonly pid: number;
  /** Free in its network and in ours; nothing listens there yet. */
  readonly port: number;
  /** The API as it is, for what only a test wants. @returns the answer's or the operation's metadata */
  readonly ask: (
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: object | Buffer,
  ) => Promise<unknown>;
  /** A join token (`lxc cluster add`): what it is made of. */
  readonly invite: (node: string) => Promise<Invitation>;
  readonly stop: () => Promise<void>;
}

interface Invitation {
  readonly serverName: string;
  readonly fingerprint: string;
  readonly addresses: readonly string[];
  readonly secret: string;
  readonly expiresAt: string;
}

const PRESEED = `storage_pools:
- {name: default, driver: dir}
networks:
- {name: lxdbr0, type: bridge, config: {ipv4.address: 10.77.0.1/24, ipv4.nat: "true", ipv6.address: none}}
profiles:
- name: default
  devices:
    root: {path: /, pool: default, type: disk}
    eth0: {name: eth0, network: lxdbr0, type: nic}
`;

const METADATA = `architecture: x86_64
creation_date: 1700000000
properties: {os: busybox, release: "1", description: busybox of the tests}
`;

export interface LxdOptions {
  /** Without storage, network and image: as a server is before it joins a cluster. */
  readonly empty?: boolean;
  /** Shares the network of another one, so that the two see each other on 127.0.0.1. */
  readonly beside?: Lxd;
}

/** A real LXD with an image of busybox. */
export async function startLxd({ empty = false, beside }: LxdOptions = {}): Promise<Lxd> {
  const place = await placeEngine("lxd");
  const socket = join(place.folder, "unix.socket");
  const agent = new Agent({ connect: { socketPath: socket } });
  const lxd = programPath("LXD");
  const env = { LXD_DIR: place.folder };
  const server = await startInNamespace(place, {
    program: lxd,
    args: ["--group", "root", "--logfile", join(place.folder, "lxd.log")],
    env,
    networkOf: beside?.pid,
    ready: async () => answers(agent),
  });
  const ask: Lxd["ask"] = async (method, path, body) => askLxd(agent, { method, path, body });
  const stop = async () => {
    // In order, so that no cgroup stays; what hangs dies with the namespace.
    await run(lxd, ["shutdown", "--timeout", "5"], { env, timeout: 15_000 }).catch(() => undefined);
    await server.stop();
    await agent.destroy();
  };
  try {
    await run(lxd, ["waitready", "--timeout", "30"], { env });
    if (!empty) await prepare({ lxd, env, folder: place.folder, ask });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socket,
    image: "bb",
    pid: server.pid,
    port: place.port,
    ask,
    invite: async (node) => invite(agent, node),
    stop,
  };
}

async function prepare({
  lxd,
  env,
  folder,
  ask,
}: {
  readonly lxd: string;
  readonly env: Record<string, string>;
  readonly folder: string;
  readonly ask: Lxd["ask"];
}): Promise<void> {
  const child = run(lxd, ["init", "--preseed"], { env });
  child.child.stdin?.end(PRESEED);
  await child;
  await makeBusyboxSystem(folder);
  await writeFile(join(folder, "metadata.yaml"), METADATA);
  const tar = await tarOf(folder, ["metadata.yaml", "rootfs"], join(folder, "image.tar"));
  const { fingerprint } = (await ask("POST", "/1.0/images", await readFile(tar))) as {
    fingerprint: string;
  };
  await ask("POST", "/1.0/images/aliases", { name: "bb", target: fingerprint });
}

/** An operation that lasts until somebody joins, so that it is not waited for. */
async function invite(agent: Agent, node: string): Promise<Invitation> {
  const { body } = await request("http://lxd/1.0/cluster/members", {
    method: "POST",
    dispatcher: agent,
    body: JSON.stringify({ server_name: node }),
  });
  const { metadata } = (await body.json()) as {
    readonly metadata: { readonly metadata: Invitation };
  };
  return metadata.metadata;
}

async function answers(agent: Agent): Promise<boolean> {
  try {
    const { statusCode, body } = await request("http://lxd/1.0", { dispatcher: agent });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}

interface Answer {
  readonly type: string;
  readonly operation?: string;
  readonly error?: string;
  readonly metadata: unknown;
}

async function askLxd(
  agent: Agent,
  {
    method,
    path,
    body,
  }: {
    method: "GET" | "POST" | "PUT" | "DELETE";
    path: string;
    body?: object | Buffer | undefined;
  },
): Promise<unknown> {
  const bytes = body instanceof Uint8Array;
  const { body: answered } = await request(`http://lxd${path}`, {
    method,
    dispatcher: agent,
    headers: { "content-type": bytes ? "application/octet-stream" : "application/json" },
    body: body === undefined ? null : bytes ? body : JSON.stringify(body),
  });
  const answer = (await answered.json()) as Answer;
  if (answer.type === "error") throw new Error(`${method} ${path}: ${answer.error ?? ""}`);
  if (answer.type !== "async") return answer.metadata;
  const waited = (await askLxd(agent, {
    method: "GET",
    path: `${answer.operation ?? ""}/wait?timeout=60`,
  })) as {
    readonly err: string;
    readonly metadata: unknown;
  };
  if (waited.err !== "") throw new Error(`${method} ${path}: ${waited.err}`);
  return waited.metadata;
}
