import { z } from "zod";
import type { Bridge, Interface, RawBackend } from "../types.ts";
import type { LxdClient } from "./client.ts";

const networkSchema = z.object({
  name: z.string(),
  type: z.string(),
  managed: z.boolean(),
  config: z.record(z.string(), z.string()).nullish(),
  used_by: z.array(z.string()).nullish(),
});
type LxdNetwork = z.infer<typeof networkSchema>;

const stateSchema = z.object({
  state: z.string(),
  type: z.string(),
  mtu: z.number(),
  hwaddr: z.string(),
  addresses: z.array(z.object({ address: z.string(), netmask: z.string() })).nullish(),
  counters: z.object({ bytes_received: z.number(), bytes_sent: z.number() }),
});

type Network = RawBackend["network"];

export function lxdNetwork(client: LxdClient): Network {
  const networks = async (signal: AbortSignal) => {
    const request = { path: "/1.0/networks", query: { recursion: "1" }, signal };
    return client.read(z.array(networkSchema), request);
  };
  return {
    bridges: async (_request, signal) =>
      (await networks(signal)).filter(({ type }) => type === "bridge").map(bridgeOf),
    createBridge: async ({ bridge, address, nat = true }, signal) => {
      const config = {
        "ipv4.address": address ?? "auto",
        "ipv4.nat": `${nat}`,
        "ipv6.address": "none",
      };
      const body = { name: bridge, type: "bridge", config };
      await client.run({ method: "POST", path: "/1.0/networks", body, signal });
      return bridgeOf(await client.read(networkSchema, { path: networkPath(bridge), signal }));
    },
    removeBridge: async ({ bridge }, signal) => {
      await client.run({ method: "DELETE", path: networkPath(bridge), signal });
    },
    interfaces: async (_request, signal) =>
      Promise.all(
        (await networks(signal)).map(async ({ name }) => {
          const path = `${networkPath(name)}/state`;
          return interfaceOf(name, await client.read(stateSchema, { path, signal }));
        }),
      ),
  };
}

function networkPath(name: string): string {
  return `/1.0/networks/${encodeURIComponent(name)}`;
}

function bridgeOf({ name, managed, config, used_by }: LxdNetwork): Bridge {
  const address = config?.["ipv4.address"];
  return {
    bridge: name,
    address: address === "none" ? undefined : address,
    nat: config?.["ipv4.nat"] === "true",
    managed,
    usedBy: used_by?.length ?? 0,
  };
}

function interfaceOf(name: string, state: z.infer<typeof stateSchema>): Interface {
  return {
    interface: name,
    type: state.type,
    up: state.state === "up",
    mtu: state.mtu,
    hardwareAddress: state.hwaddr,
    addresses: (state.addresses ?? []).map(({ address, netmask }) => `${address}/${netmask}`),
    receivedBytes: state.counters.bytes_received,
    sentBytes: state.counters.bytes_sent,
  };
}
