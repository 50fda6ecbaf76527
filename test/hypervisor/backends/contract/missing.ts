import { expect, test } from "@jest/globals";
import { at, LIMIT_MS, kindOf, type Subject } from "./subject.ts";

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function missingContract(subject: Subject, without: readonly string[]): void {
  test(
    "says of exactly the verbs that it does not have that it cannot do them, and names itself",
    async () => {
      await subject.create("asked");
      const { name, containers, storage, network, clusters } = subject.backend();
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
      await subject.remove("asked");
    },
    LIMIT_MS,
  );
}
