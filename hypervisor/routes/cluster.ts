import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend, Cluster } from "../backends/types.ts";
import type { Router } from "../frame/router.ts";
import { nameSchema } from "./names.ts";
import { mustBeThere, operate } from "./operate.ts";

const clusterSchema = z
  .object({ clustered: z.boolean(), node: z.string().nullable(), nodes: z.number() })
  .meta({ id: "Cluster" });
const nodeSchema = z
  .object({
    name: z.string(),
    address: z.string(),
    status: z.string(),
    message: z.string(),
    roles: z.array(z.string()),
  })
  .meta({ id: "ClusterNode" });
const addressSchema = z.string().regex(/^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):\d{1,5}$/, {
  error: "must be host:port",
});

interface ClusterDeps {
  readonly backend: Backend;
}

/** `/api/v1/cluster`: the servers that the backend is made of. */
export function addClusterRoutes(router: Router, { backend }: ClusterDeps): void {
  const { clusters } = backend;
  router.route(
    {
      method: "get",
      path: "/api/v1/cluster",
      permission: "cluster:read",
      summary: "whether this server is in a cluster, and how large it is",
      answers: { 200: clusterSchema },
    },
    async (call) => ({ status: 200, body: shown(await clusters.info({}, call)) }),
  );
  router.route(
    {
      method: "get",
      path: "/api/v1/cluster/nodes",
      permission: "cluster:read",
      summary: "the servers of the cluster",
      answers: { 200: z.object({ total: z.number(), nodes: z.array(nodeSchema) }) },
    },
    async (call) => {
      const nodes = (await clusters.nodes({}, call)).map(({ node, roles, ...rest }) => ({
        name: node,
        ...rest,
        roles: [...roles],
      }));
      return { status: 200, body: { total: nodes.length, nodes } };
    },
  );
  addJoin(router, backend);
  addLeave(router, backend);
}

function shown({ node, ...rest }: Cluster) {
  return { ...rest, node: node ?? null };
}

function addJoin(router: Router, { host, clusters }: Backend): void {
  router.route(
    {
      method: "post",
      path: "/api/v1/cluster/join",
      permission: "cluster:join",
      summary: "takes this server into a cluster; without a token it begins one",
      body: z.strictObject({
        node: nameSchema,
        address: addressSchema,
        token: z.string().min(1).max(8_192).optional(),
      }),
      answers: { 200: clusterSchema },
      mutates: { action: "ClusterJoined", resource: "cluster" },
    },
    async (call) => {
      const { node, address, token } = call.body;
      await host.must({ ability: "form a cluster" }, call);
      const { clustered } = await clusters.info({}, call);
      const facts = { address, begins: token === undefined };
      const subject = { id: node, summary: `Joined a cluster as ${node}`, facts };
      const work = async () => {
        const joined = await clusters.join({ node, address, token });
        return { status: 200, body: shown(joined) } as const;
      };
      return operate(call, subject, work, async () => {
        const detail = "This server is in a cluster already.";
        if (clustered) return Promise.reject(new HttpProblem(409, "Conflict", detail));
        return Promise.resolve();
      });
    },
  );
}

function addLeave(router: Router, { host, clusters }: Backend): void {
  router.route(
    {
      method: "post",
      path: "/api/v1/cluster/leave",
      permission: "cluster:leave",
      summary: "takes a server out of the cluster; with force also one that does not answer",
      body: z.strictObject({ node: nameSchema, force: z.boolean().default(false) }),
      answers: { 204: "nothing" },
      mutates: { action: "ClusterLeft", resource: "cluster" },
    },
    async (call) => {
      const { node, force } = call.body;
      await host.must({ ability: "form a cluster" }, call);
      const subject = { id: node, summary: `Took ${node} out of the cluster`, facts: { force } };
      const work = async () => {
        await clusters.leave({ node, force });
        return { status: 204 } as const;
      };
      return operate(call, subject, work, async () => {
        const nodes = await clusters.nodes({}, call);
        mustBeThere(
          nodes.find((each) => each.node === node),
          `node ${node}`,
        );
      });
    },
  );
}
