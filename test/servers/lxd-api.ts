import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";
import { makeBusyboxSystem, tarOf } from "./busybox.ts";

const STOP_MS = 5_000;

/** What containers can be made from, after `prepareLxd`. */
export const LXD_IMAGE = "bb";

/** A join token (`lxc cluster add`): what it is made of. */
interface Invitation {
  readonly serverName: string;
  readonly fingerprint: string;
  readonly addresses: readonly string[];
  readonly secret: string;
  readonly expiresAt: string;
}

/** The API as it is, for what only a test wants. @returns the answer's or the operation's metadata */
export type AskLxd = (
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: object | Buffer,
) => Promise<unknown>;

/** The API that LXD has and Incus has kept, on its socket. */
export interface LxdApi {
  readonly ask: AskLxd;
  readonly invite: (node: string) => Promise<Invitation>;
  readonly answers: () => Promise<boolean>;
  /** In order, so that no cgroup stays; what hangs is not waited for. */
  readonly shutDown: () => Promise<void>;
}

export function lxdApi(socket: string): LxdApi {
  const agent = new Agent({ connect: { socketPath: socket } });
  return {
    ask: async (method, path, body) => askLxd(agent, { method, path, body }),
    invite: async (node) => invite(agent, node),
    answers: async () => answers(agent),
    shutDown: async () => {
      const options = { method: "PUT", dispatcher: agent } as const;
      const signal = AbortSignal.timeout(STOP_MS);
      await request("http://lxd/internal/shutdown", { ...options, signal })
        .then(async ({ body }) => body.dump())
        .catch(() => undefined);
      await agent.destroy();
    },
  };
}

const METADATA = `architecture: x86_64
creation_date: 1700000000
properties: {os: busybox, release: "1", description: busybox of the tests}
`;

const BRIDGE = { "ipv4.address": "10.77.0.1/24", "ipv4.nat": "true", "ipv6.address": "none" };

/** Gives a fresh server a pool, a bridge, a profile that uses both, and an image of busybox. */
export async function prepareLxd(ask: AskLxd, folder: string): Promise<void> {
  await ask("POST", "/1.0/storage-pools", { name: "default", driver: "dir" });
  await ask("POST", "/1.0/networks", { name: "lxdbr0", type: "bridge", config: BRIDGE });
  const devices = {
    root: { path: "/", pool: "default", type: "disk" },
    eth0: { name: "eth0", network: "lxdbr0", type: "nic" },
  };
  await ask("PUT", "/1.0/profiles/default", { devices });
  await makeBusyboxSystem(folder);
  await writeFile(join(folder, "metadata.yaml"), METADATA);
  const tar = await tarOf(folder, ["metadata.yaml", "rootfs"], join(folder, "image.tar"));
  const { fingerprint } = (await ask("POST", "/1.0/images", await readFile(tar))) as {
    fingerprint: string;
  };
  await ask("POST", "/1.0/images/aliases", { name: LXD_IMAGE, target: fingerprint });
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
    const { statusCode, body } = await request("http://lxd/internal/ready", { dispatcher: agent });
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
