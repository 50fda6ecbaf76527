import type Docker from "dockerode";
import { z } from "zod";
import { BackendError, unsupported } from "../error.ts";
import type { Bridge, RawBackend } from "../types.ts";

const networkSchema = z.object({
  Name: z.string(),
  Driver: z.string(),
  Internal: z.boolean().default(false),
  IPAM: z
    .object({
      Config: z
        .array(z.object({ Subnet: z.string().optional(), Gateway: z.string().optional() }))
        .nullish(),
    })
    .nullish(),
  Containers: z.record(z.string(), z.unknown()).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
});

/** Networks that the engines make by themselves. */
const BUILT_IN: ReadonlySet<string> = new Set(["bridge", "podman"]);
const MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade";

export function dockerNetwork(docker: Docker, name: string): RawBackend["network"] {
  const look = async (network: string) =>
    networkSchema.parse(await docker.getNetwork(network).inspect());
  return {
    bridges: async (_request, abortSignal) => {
      const filters = { driver: ["bridge"] };
      const listed = await docker.listNetworks({ filters, abortSignal });
      const found = await Promise.all(listed.map(async ({ Name }) => look(Name)));
      return found.map(bridgeOf);
    },
    createBridge: async ({ bridge, address, nat = true }, abortSignal) => {
      const filters = { driver: ["bridge"] };
      const listed = await docker.listNetworks({ filters, abortSignal });
      if (listed.some(({ Name }) => Name === bridge)) {
        throw new BackendError("conflict", `there is a bridge ${bridge} already`);
      }
      await docker.createNetwork({
        Name: bridge,
        Driver: "bridge",
        CheckDuplicate: true,
        ...(nat ? {} : { Options: { [MASQUERADE]: "false" } }),
        ...(address === undefined
          ? {}
          : { IPAM: { Driver: "default", Config: [subnetOf(address)] } }),
        abortSignal,
      });
      return bridgeOf(await look(bridge));
    },
    removeBridge: async ({ bridge }, abortSignal) => {
      const found = await look(bridge);
      if (found.Driver !== "bridge" || found.Name !== bridge) {
        throw new BackendError("not_found", `there is no bridge ${bridge}`);
      }
      const { managed, usedBy } = bridgeOf(found);
      // Podman would remove it from under its containers.
      if (!managed || usedBy > 0) {
        throw new BackendError("conflict", `bridge ${bridge} is in use`);
      }
      await docker.getNetwork(bridge).remove({ abortSignal });
    },
    interfaces: async () => Promise.reject(unsupported(name, "list the host's interfaces")),
  };
}

/** Words that mean no network of that name: the host's own, another's, none (Docker, Podman). */
const MODES: ReadonlySet<string> = new Set(
  "host none default private container ns pod slirp4netns pasta".split(" "),
);

/**
 * A container goes to a bridge and nowhere else: in the host's own network it would reach what listens on loopback only.
 *
 * @throws BackendError `invalid`; what the engine says of a network that is not there
 */
export async function refuseNoBridge(docker: Docker, bridge: string): Promise<void> {
  const refused = new BackendError("invalid", `bridge: ${bridge} is no bridge`);
  if (MODES.has(bridge)) throw refused;
  const found = networkSchema.parse(await docker.getNetwork(bridge).inspect());
  // An id, or the beginning of one, is a name for the engines too.
  if (found.Driver !== "bridge" || found.Name !== bridge) throw refused;
}

function bridgeOf({
  Name,
  Internal,
  IPAM,
  Containers,
  Options,
}: z.infer<typeof networkSchema>): Bridge {
  const [config] = IPAM?.Config ?? [];
  const prefix = config?.Subnet?.split("/")[1] ?? "";
  const gateway = config?.Gateway;
  return {
    bridge: Name,
    address: gateway === undefined ? config?.Subnet : `${gateway}/${prefix}`,
    nat: !Internal && Options?.[MASQUERADE] !== "false",
    managed: !BUILT_IN.has(Name),
    usedBy: Object.keys(Containers ?? {}).length,
  };
}

/** 10.7.0.1/24 is the gateway 10.7.0.1 of the network 10.7.0.0/24. */
function subnetOf(address: string): { readonly Subnet: string; readonly Gateway: string } {
  const [gateway = "", prefix = ""] = address.split("/");
  const bytes = gateway.split(".").map(Number);
  const mask = Number(prefix);
  const network = bytes.map((byte, at) => {
    const bits = Math.min(Math.max(mask - at * 8, 0), 8);
    return byte & (0xff << (8 - bits)) & 0xff;
  });
  return { Subnet: `${network.join(".")}/${prefix}`, Gateway: gateway };
}
