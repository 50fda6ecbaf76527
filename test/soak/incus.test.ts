import { beforeAll } from "@jest/globals";
import { lxdContract } from "../hypervisor/backends/lxd-contract.ts";
import { fetchIncus, startIncus } from "../servers/incus.ts";

let tree: Promise<string>;
beforeAll(async () => {
  tree = fetchIncus(); // 35 MB: too much for each run of all tests
  await tree;
}, 300_000);

lxdContract({ name: "incus", start: async (options) => startIncus(await tree, options) });
