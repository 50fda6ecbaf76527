import { z } from "zod";
import type { Backend, Bridge } from "../backends/types.ts";
import type { Call } from "../frame/call.ts";
import type { Router } from "../frame/router.ts";
import { nameSchema } from "./names.ts";
import { mustBeFree, mustBeThere, mustBeUnused, operate } from "./operate.ts";

const bridgeSchema = z
  .object({
    name: z.string(),
    address: z.string().nullable(),
    nat: z.boolean(),
    managed: z.boolean(),
    used_by: z.number(),
  })
  .meta({ id: "Bridge" });
const interfaceSchema = z
  .object({
    name: z.string(),
    type: z.string(),
    up: z.boolean(),
    mtu: z.number(),
    hardware_address: z.string(),
    addresses: z.array(z.string()),
    received_bytes: z.number(),
    sent_bytes: z.number(),
  })
  .meta({ id: "Interface" });
/** Linux allows an interface's name 15 characters. */
const bridgeName = nameSchema.max(15);

const BRIDGES = "/api/v1/network/bridges";

interface NetworkDeps {
  readonly backend: Backend;
}

/** `/api/v1/network`: bridges that containers are on, and the host's interfaces. */
export function addNetworkRoutes(router: Router, { backend }: NetworkDeps): void {
  const { network } = backend;
  router.route(
    {
      method: "get",
      path: BRIDGES,
      permission: "network:read",
      summary: "the bridges",
      answers: { 200: z.object({ total: z.number(), bridges: z.array(bridgeSchema) }) },
    },
    async (call) => {
      const bridges = (await network.bridges({}, call)).map(shown);
      return { status: 200, body: { total: bridges.length, bridges } };
    },
  );
  router.route(
    {
      method: "get",
      path: "/api/v1/network/interfaces",
      permission: "network:read",
      summary: "the host's network interfaces",
      answers: { 200: z.object({ total: z.number(), interfaces: z.array(interfaceSchema) }) },
    },
    async (call) => {
      const interfaces = (await network.interfaces({}, call)).map((each) => ({
        name: each.interface,
        type: each.type,
        up: each.up,
        mtu: each.mtu,
        hardware_address: each.hardwareAddress,
        addresses: [...each.addresses],
        received_bytes: each.receivedBytes,
        sent_bytes: each.sentBytes,
      }));
      return { status: 200, body: { total: interfaces.length, interfaces } };
    },
  );
  addBridgeChanges(router, backend);
}

function shown({ bridge, address, nat, managed, usedBy }: Bridge) {
  return { name: bridge, address: address ?? null, nat, managed, used_by: usedBy };
}

async function find(
  { bridges }: Backend["network"],
  bridge: string,
  call: Pick<Call, "signal">,
): Promise<Bridge | undefined> {
  return (await bridges({}, call)).find((each) => each.bridge === bridge);
}

function addBridgeChanges(router: Router, { network }: Backend): void {
  router.route(
    {
      method: "post",
      path: BRIDGES,
      permission: "network:write",
      summary: "makes a bridge",
      body: z.strictObject({
        name: bridgeName,
        address: z.cidrv4().optional(),
        nat: z.boolean().default(true),
      }),
      answers: { 201: bridgeSchema },
      mutates: { action: "BridgeCreated", resource: "network" },
    },
    async (call) => {
      const { name: bridge, address, nat } = call.body;
      const facts = { address: address ?? null, nat };
      const subject = { id: bridge, summary: `Made the bridge ${bridge}`, facts };
      const work = async () => {
        const made = await network.createBridge({ bridge, address, nat });
        return { status: 201, body: shown(made) } as const;
      };
      return operate(call, subject, work, async () => {
        mustBeFree((await find(network, bridge, call)) !== undefined, `bridge ${bridge}`);
      });
    },
  );
  router.route(
    {
      method: "delete",
      path: `${BRIDGES}/:bridge`,
      permission: "network:delete",
      summary: "removes a bridge that no container is on",
      params: z.strictObject({ bridge: bridgeName }),
      answers: { 204: "nothing" },
      mutates: { action: "BridgeDeleted", resource: "network" },
    },
    async (call) => {
      const { bridge } = call.params;
      const subject = { id: bridge, summary: `Removed the bridge ${bridge}` };
      const work = async () => {
        await network.removeBridge({ bridge });
        return { status: 204 } as const;
      };
      return operate(call, subject, work, async () => {
        const what = `bridge ${bridge}`;
        const { managed, usedBy } = mustBeThere(await find(network, bridge, call), what);
        mustBeUnused(!managed || usedBy > 0, what);
      });
    },
  );
}
