import { openDocker } from "../../../hypervisor/backends/docker/open.ts";
import { startDocker } from "../../servers/docker.ts";
import { backendContract } from "./contract.ts";
import { engineContract } from "./contract/engine.ts";
import { loadInto } from "./contract/load.ts";

/** Ends at once when it is asked to; a bare `sleep` as the first process would have to be killed. */
const STAYS = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";

let socket = "";

backendContract(
  "docker",
  [
    "storage.createPool",
    "storage.removePool",
    "network.interfaces",
    ...["info", "nodes", "join", "leave"].map((verb) => `clusters.${verb}`),
  ],
  async () => {
    const { image, stop, ...engine } = await startDocker();
    ({ socket } = engine);
    return {
      backend: openDocker({ name: "docker", address: { socket } }),
      image,
      command: ["sh", "-c", STAYS],
      console: "/proc/1/fd/1",
      pool: "local",
      readIn: async (tar) => loadInto(socket, tar),
      stop,
    };
  },
  (subject) => {
    engineContract(subject, () => socket);
  },
);
