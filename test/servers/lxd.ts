import { join } from "node:path";
import { LXD_IMAGE, lxdApi, prepareLxd, type LxdApi } from "./lxd-api.ts";
import { placeEngine, startInNamespace } from "./namespace.ts";
import { programPath } from "./unprivileged.ts";

/** A running LXD, or Incus, which has kept its API. */
export interface Lxd extends Pick<LxdApi, "ask" | "invite"> {
  readonly socket: string;
  /** What containers can be made from. */
  readonly image: string;
  readonly pid: number;
  /** Free in its network and in ours; nothing listens there yet. */
  readonly port: number;
  readonly stop: () => Promise<void>;
}

export interface LxdOptions {
  /** Without storage, network and image: as a server is before it joins a cluster. */
  readonly empty?: boolean;
  /** Shares the network of another one, so that the two see each other on 127.0.0.1. */
  readonly beside?: Lxd;
}

interface LxdProgram {
  readonly name: string;
  readonly program: string;
  /** The variable that names its folder. */
  readonly variable: string;
  /** The tree of another release that it needs: startInNamespace. */
  readonly over?: string;
}

/** A real LXD with an image of busybox. */
export async function startLxd(options: LxdOptions = {}): Promise<Lxd> {
  const lxd = { name: "lxd", program: programPath("LXD"), variable: "LXD_DIR" };
  return startLxdProgram(lxd, options);
}

/** The same with another program of the family. */
export async function startLxdProgram(
  { name, program, variable, over }: LxdProgram,
  { empty = false, beside }: LxdOptions,
): Promise<Lxd> {
  const place = await placeEngine(name);
  const socket = join(place.folder, "unix.socket");
  const { ask, invite, answers, shutDown } = lxdApi(socket);
  const server = await startInNamespace(place, {
    program,
    args: ["--group", "root", "--logfile", join(place.folder, "daemon.log")],
    env: { [variable]: place.folder },
    networkOf: beside?.pid,
    over,
    ready: answers,
  });
  const stop = async () => {
    await shutDown();
    await server.stop(); // what hangs dies with the namespace
  };
  try {
    if (!empty) await prepareLxd(ask, place.folder);
  } catch (error) {
    await stop();
    throw error;
  }
  return { socket, image: LXD_IMAGE, pid: server.pid, port: place.port, ask, invite, stop };
}
