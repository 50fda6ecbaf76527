import { BackendError } from "../error.ts";
import type { OfVolume, RawBackend } from "../types.ts";
import type { World } from "./world.ts";

export function memoryStorage({ pools, volumes, ...world }: World): RawBackend["storage"] {
  const keyOf = ({ project, pool, volume }: OfVolume) => `${project}/${pool}/${volume}`;
  return {
    pools: async () => [...pools.values()],
    createPool: async ({ pool, driver, sizeBytes }) => {
      refuseTaken(pools, pool, `pool ${pool}`);
      const usedBytes = sizeBytes === undefined ? undefined : 0;
      const made = { pool, driver, status: "created", totalBytes: sizeBytes, usedBytes };
      pools.set(pool, made);
      return made;
    },
    removePool: async ({ pool }) => {
      found(pools, pool, `pool ${pool}`);
      if ([...volumes.values()].some((volume) => volume.pool === pool)) {
        throw new BackendError("conflict", `pool ${pool} is in use`);
      }
      pools.delete(pool);
    },
    volumes: async ({ project, pool }) => {
      found(pools, pool, `pool ${pool}`);
      return [...volumes.values()].filter((each) => each.project === project && each.pool === pool);
    },
    createVolume: async ({ sizeBytes, ...place }) => {
      found(pools, place.pool, `pool ${place.pool}`);
      refuseTaken(volumes, keyOf(place), `volume ${place.volume}`);
      const createdAt = world.clock.now().toISOString();
      const made = { ...place, createdAt, sizeBytes, usedBy: 0 };
      volumes.set(keyOf(place), made);
      return made;
    },
    removeVolume: async (place) => {
      found(volumes, keyOf(place), `volume ${place.volume}`);
      volumes.delete(keyOf(place));
    },
  };
}

export function memoryNetwork({ bridges, containers }: World): RawBackend["network"] {
  const usedBy = (bridge: string) =>
    [...containers.values()].filter(({ spec }) => spec.bridge === bridge).length;
  return {
    bridges: async () =>
      [...bridges.values()].map((each) => ({ ...each, usedBy: usedBy(each.bridge) })),
    createBridge: async ({ bridge, address, nat = true }) => {
      refuseTaken(bridges, bridge, `bridge ${bridge}`);
      const made = { bridge, address, nat, managed: true, usedBy: 0 };
      bridges.set(bridge, made);
      return made;
    },
    removeBridge: async ({ bridge }) => {
      found(bridges, bridge, `bridge ${bridge}`);
      if (usedBy(bridge) > 0) throw new BackendError("conflict", `bridge ${bridge} is in use`);
      bridges.delete(bridge);
    },
    interfaces: async () =>
      [...bridges.values()].map(({ bridge, address }) => ({
        interface: bridge,
        type: "bridge",
        up: true,
        mtu: 1500,
        hardwareAddress: "00:00:00:00:00:00",
        addresses: address === undefined ? [] : [address],
        receivedBytes: 0,
        sentBytes: 0,
      })),
  };
}

/** A cluster of one, since there is nobody to join. */
export function memoryClusters(world: World): RawBackend["clusters"] {
  return {
    info: async () => world.cluster,
    nodes: async () => {
      const { node } = world.cluster;
      if (node === undefined) return [];
      const address = "127.0.0.1:8443";
      return [{ node, address, status: "online", message: "", roles: ["database"] }];
    },
    join: async ({ node, token }) => {
      if (world.cluster.clustered) {
        throw new BackendError("conflict", "this server is in a cluster already");
      }
      if (token !== undefined) {
        throw new BackendError("invalid", "token: no other server is in memory");
      }
      world.cluster = { clustered: true, node, nodes: 1 };
      return world.cluster;
    },
    leave: async ({ node }) => {
      if (world.cluster.node !== node) {
        throw new BackendError("not_found", `there is no node ${node}`);
      }
      world.cluster = { clustered: false, node: undefined, nodes: 0 };
    },
  };
}

function refuseTaken(things: ReadonlyMap<string, unknown>, key: string, what: string): void {
  if (things.has(key)) throw new BackendError("conflict", `there is a ${what} already`);
}

function found(things: ReadonlyMap<string, unknown>, key: string, what: string): void {
  if (!things.has(key)) throw new BackendError("not_found", `there is no ${what}`);
}
