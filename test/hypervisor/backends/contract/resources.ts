import { expect, test } from "@jest/globals";
import { kindOf, LIMIT_MS, PROJECT, type Subject } from "./subject.ts";

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function resourcesContract(subject: Subject): void {
  test(
    "manages volumes of a pool",
    async () => {
      const { storage } = subject.backend();
      const place = { project: PROJECT, pool: subject.given().pool, volume: "data-1" };

      expect((await storage.pools({})).map(({ pool }) => pool)).toContain(subject.given().pool);
      expect(await storage.createVolume(place)).toMatchObject({ ...place, usedBy: 0 });
      expect(await kindOf(storage.createVolume(place))).toBe("conflict");
      expect(await storage.volumes(place)).toMatchObject([place]);
      await storage.removeVolume(place);
      expect(await storage.volumes(place)).toEqual([]);
      expect(await kindOf(storage.removeVolume(place))).toBe("not_found");
    },
    LIMIT_MS,
  );

  test(
    "makes and removes bridges, but none that is in use",
    async () => {
      const { network } = subject.backend();
      const bridge = { bridge: "fettle-t1", address: "10.91.7.1/24" };

      expect(await network.createBridge(bridge)).toMatchObject({
        ...bridge,
        nat: true,
        managed: true,
        usedBy: 0,
      });
      expect(await kindOf(network.createBridge(bridge))).toBe("conflict");
      await subject.running("on-bridge", { bridge: "fettle-t1" });
      const found = (await network.bridges({})).find((each) => each.bridge === "fettle-t1");
      expect(found).toMatchObject({ usedBy: 1 });
      expect(await kindOf(network.removeBridge(bridge))).toBe("conflict");
      await subject.remove("on-bridge");
      await network.removeBridge(bridge);
      expect(await kindOf(network.removeBridge(bridge))).toBe("not_found");
    },
    LIMIT_MS,
  );
}

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function poolsContract(subject: Subject): void {
  test(
    "makes and removes pools",
    async () => {
      const { storage } = subject.backend();
      const pool = { pool: "second", driver: "dir" };
      expect(await storage.createPool(pool)).toMatchObject({ ...pool, status: "created" });
      expect(await kindOf(storage.createPool(pool))).toBe("conflict");
      const volume = { project: PROJECT, pool: "second", volume: "kept" };
      await storage.createVolume(volume);
      expect(await kindOf(storage.removePool(pool))).toBe("conflict");
      await storage.removeVolume(volume);
      await storage.removePool(pool);
      expect(await kindOf(storage.removePool(pool))).toBe("not_found");
    },
    LIMIT_MS,
  );
}

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function interfacesContract(subject: Subject): void {
  test(
    "lists interfaces",
    async () => {
      const { network } = subject.backend();
      const [first] = await network.bridges({});
      expect(await network.interfaces({})).toContainEqual(
        expect.objectContaining({ interface: first?.bridge, mtu: 1500 }),
      );
    },
    LIMIT_MS,
  );
}

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function clustersContract(subject: Subject): void {
  test(
    "forms a cluster",
    async () => {
      const { clusters } = subject.backend();
      const { clusterAddress: address = "127.0.0.1:18443" } = subject.given();
      const join = { node: "node-1", address };
      expect(await clusters.info({})).toEqual({ clustered: false, node: undefined, nodes: 0 });
      expect(await kindOf(clusters.join({ ...join, token: "nonsense" }))).toBe("invalid");
      expect(await clusters.join(join)).toEqual({ clustered: true, node: "node-1", nodes: 1 });
      expect(await clusters.nodes({})).toMatchObject([{ node: "node-1", status: "online" }]);
      expect(await kindOf(clusters.join(join))).toBe("conflict");
      expect(await kindOf(clusters.leave({ node: "node-9" }))).toBe("not_found");
    },
    LIMIT_MS,
  );
}
