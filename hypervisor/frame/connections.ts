import { Counter, type Registry } from "prom-client";
import type { ConnectionCap } from "../../lib/connection-cap.ts";
import type { TrustsProxy } from "./client-address.ts";

/** A browser holds six and its WebSockets; a program a pool. */
const CONNECTIONS_PER_ADDRESS = 256;

/** Nobody takes all connections but a proxy of ours, whose are those of many. */
export function capOf(trustsProxy: TrustsProxy, registry: Registry): ConnectionCap {
  const refused = new Counter({
    name: "arm_hypervisor_connections_refused_total",
    help: "Connections hung up on, as their address held too many",
    registers: [registry],
  });
  return {
    max: CONNECTIONS_PER_ADDRESS,
    exempt: (address) => trustsProxy(address, 0),
    refused: () => {
      refused.inc();
    },
  };
}
