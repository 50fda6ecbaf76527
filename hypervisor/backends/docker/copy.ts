import type Docker from "dockerode";
import type { Inspected } from "./inspected.ts";

/** What makes another container like this one, from another image. */
export function copyOptions(
  { Config, HostConfig }: Inspected,
  image: string,
): Docker.ContainerCreateOptions {
  const { Cmd, Entrypoint } = Config;
  return {
    Image: image,
    ...(Cmd ? { Cmd } : {}),
    ...(Entrypoint ? { Entrypoint } : {}),
    Env: Config.Env ?? [],
    Labels: Config.Labels ?? {},
    User: Config.User,
    WorkingDir: Config.WorkingDir,
    Tty: Config.Tty,
    OpenStdin: Config.OpenStdin,
    ExposedPorts: Config.ExposedPorts ?? {},
    HostConfig: hostConfigOf(HostConfig),
  };
}

/** Only what was set, since engines tell more than they take. */
function hostConfigOf(found: Inspected["HostConfig"]): Docker.HostConfig {
  const { Memory, NanoCpus, RestartPolicy, PidsLimit } = found;
  const ports = Object.entries(found.PortBindings ?? {}).map(([port, at]) => [port, at ?? []]);
  return {
    NetworkMode: found.NetworkMode,
    Binds: found.Binds ?? [],
    PortBindings: Object.fromEntries(ports) as Docker.PortMap,
    CapAdd: found.CapAdd ?? [],
    CapDrop: found.CapDrop ?? [],
    SecurityOpt: found.SecurityOpt ?? [],
    Privileged: found.Privileged,
    ...(Memory > 0 ? { Memory, MemorySwap: Memory * 2 } : {}),
    ...(NanoCpus > 0 ? { NanoCpus } : {}),
    ...(RestartPolicy ? { RestartPolicy } : {}),
    ...((PidsLimit ?? 0) > 0 ? { PidsLimit: PidsLimit ?? 0 } : {}),
  };
}

/** A container is made with one network; those that it was connected to later are connected again. */
export async function connectOthers(
  docker: Docker,
  { HostConfig, NetworkSettings }: Inspected,
  id: string,
): Promise<void> {
  const first = ["default", "bridge"].includes(HostConfig.NetworkMode)
    ? ["default", "bridge", "podman"]
    : [HostConfig.NetworkMode];
  for (const [network, { Aliases }] of Object.entries(NetworkSettings.Networks ?? {})) {
    if (first.includes(network)) continue;
    // Docker adds the container's own short id as an alias by itself.
    const given = (Aliases ?? []).filter((alias) => !/^[0-9a-f]{12}$/.test(alias));
    const EndpointConfig = given.length === 0 ? undefined : { Aliases: given };
    await docker.getNetwork(network).connect({ Container: id, EndpointConfig });
  }
}
