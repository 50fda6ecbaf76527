import Docker from "dockerode";
import { z } from "zod";
import { unsupported } from "../error.ts";
import { guardBackend } from "../guard.ts";
import type { Backend, RawBackend } from "../types.ts";
import { dockerLacks } from "./abilities.ts";
import { dockerContainers } from "./containers.ts";
import { explainDocker } from "./explain.ts";
import { dockerLogs } from "./logs.ts";
import { dockerNetwork } from "./network.ts";
import { dockerSnapshots } from "./snapshots.ts";
import { dockerStorage } from "./storage.ts";
import { dockerTerminals } from "./terminals.ts";

/** Where the engine listens. */
type DockerAddress =
  | { readonly socket: string }
  | {
      readonly url: string;
      readonly tls: {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
      };
    };

export interface DockerOptions {
  /** How problems name it. */
  readonly name: "docker" | "podman";
  readonly address: DockerAddress;
  readonly deadlineMs?: number | undefined;
}

const versionSchema = z.object({
  Version: z.string(),
  Components: z.array(z.object({ Name: z.string() })).default([]),
});

/** Docker or Podman, by the Docker Engine API. Nothing is asked before the first call. */
export function openDocker({ name, address, deadlineMs }: DockerOptions): Backend {
  const docker = new Docker(dockerOptions(address));
  const info = async () => {
    const { Version, Components } = versionSchema.parse(await docker.version());
    const podman = Components.some((each) => each.Name.startsWith("Podman"));
    return { engine: podman ? "podman" : "docker", version: Version };
  };
  const raw: RawBackend = {
    host: {
      info,
      must: async ({ ability }) => {
        if (await dockerLacks(ability, info)) throw unsupported(name, ability);
      },
    },
    containers: dockerContainers(docker, name),
    logs: dockerLogs(docker),
    terminals: dockerTerminals(docker),
    snapshots: dockerSnapshots(docker),
    storage: dockerStorage(docker, name),
    network: dockerNetwork(docker, name),
    clusters: noClusters(name),
  };
  const close = async () => Promise.resolve(); // each request has its own connection
  return guardBackend(raw, { name, explain: explainDocker, close, deadlineMs });
}

function noClusters(name: string): RawBackend["clusters"] {
  const refuse = async () => Promise.reject(unsupported(name, "form a cluster"));
  return { info: refuse, nodes: refuse, join: refuse, leave: refuse };
}

function dockerOptions(address: DockerAddress): Docker.DockerOptions {
  if ("socket" in address) return { socketPath: address.socket };
  const { protocol, hostname, port } = new URL(address.url);
  const { ca, cert, key } = address.tls;
  return {
    protocol: protocol === "https:" ? "https" : "http",
    host: hostname,
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
