import { expect, test } from "@jest/globals";
import type { Ability } from "../../../../hypervisor/backends/abilities.ts";
import { at, LIMIT_MS, kindOf, type Subject } from "./subject.ts";

/** What is asked before each of these is begun. */
const ABILITIES: readonly (readonly [verb: string, ability: Ability])[] = [
  ["containers.update", "change the limits of a container"],
  ["storage.createPool", "create storage pools"],
  ["storage.removePool", "remove storage pools"],
  ["network.interfaces", "list the host's interfaces"],
  ["clusters.join", "form a cluster"],
];

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function missingContract(subject: Subject, without: readonly string[]): void {
  test(
    "says of exactly the verbs that it does not have that it cannot do them, and names itself",
    async () => {
      await subject.create("asked");
      const { name, host, containers, storage, network, clusters } = subject.backend();
      const join = { node: "node-1", address: "nowhere", token: "nonsense" };
      const asked: Readonly<Record<string, Promise<unknown>>> = {
        "containers.update": containers.update({ ...at("asked"), cpus: 1 }),
        "storage.createPool": storage.createPool({ pool: "third", driver: "no-such-driver" }),
        "storage.removePool": storage.removePool({ pool: "third" }),
        "network.interfaces": network.interfaces({}),
        "clusters.info": clusters.info({}),
        "clusters.nodes": clusters.nodes({}),
        "clusters.join": clusters.join(join),
        "clusters.leave": clusters.leave({ node: "node-9" }),
      };
      const missing: string[] = [];
      for (const [verb, answer] of Object.entries(asked)) {
        if ((await kindOf(answer)) !== "unsupported") continue;
        missing.push(verb);
        await expect(answer).rejects.toThrow(`the ${name} backend cannot `);
      }

      expect(missing).toEqual(without);
      const told: string[] = [];
      for (const [verb, ability] of ABILITIES)
        if ((await kindOf(host.must({ ability }))) === "unsupported") told.push(verb);
      expect(told).toEqual(without.filter((verb) => ABILITIES.some(([named]) => named === verb)));
      await subject.remove("asked");
    },
    LIMIT_MS,
  );
}
