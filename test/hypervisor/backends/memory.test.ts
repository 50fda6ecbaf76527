import { openMemory } from "../../../hypervisor/backends/memory/open.ts";
import { backendContract } from "./contract.ts";

backendContract("memory", [], async () =>
  Promise.resolve({
    backend: openMemory({ images: ["bb"] }),
    image: "bb",
    console: "/dev/console",
    pool: "default",
    stop: async () => Promise.resolve(),
  }),
);
