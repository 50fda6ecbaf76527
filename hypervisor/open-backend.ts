import { openNone } from "./backends/none.ts";
import { followTlsFiles } from "../lib/tls-options.ts";
import type { Log } from "../lib/log.ts";
import type { BackendAccess } from "./config-backend.ts";
import type { Backend } from "./backends/types.ts";

/** The backend that is configured, whose library is loaded only then. Nothing is asked of it yet. */
export async function openBackend(access: BackendAccess | undefined, log: Log): Promise<Backend> {
  if (access === undefined) return openNone();
  const { name, address } = access;
  const at =
    "socket" in address
      ? address
      : {
          url: address.url,
          tls: followTlsFiles(address.tls, { owner: `the ${name} backend`, log }),
        };
  switch (name) {
    case "lxd":
    case "incus": {
      const { openLxd } = await import("./backends/lxd/open.ts");
      return openLxd({ name, address: at });
    }
    case "docker":
    case "podman": {
      const { openDocker } = await import("./backends/docker/open.ts");
      // Its library takes certificates once: rotated ones need a restart.
      const given = "socket" in at ? at : { url: at.url, tls: at.tls() };
      return openDocker({ name, address: given });
    }
    case "memory": {
      const { openMemory } = await import("./backends/memory/open.ts");
      return openMemory();
    }
  }
}
