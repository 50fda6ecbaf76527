import { z } from "zod";
import { BackendError } from "../error.ts";
import type { Cluster, JoinRequest, RawBackend } from "../types.ts";
import type { LxdClient } from "./client.ts";
import { certificateOf, readToken } from "./join-token.ts";

const clusterSchema = z.object({
  server_name: z.string(),
  enabled: z.boolean(),
  member_config: z
    .array(z.object({ entity: z.string(), name: z.string(), key: z.string() }))
    .nullish(),
});
const memberSchema = z.object({
  server_name: z.string(),
  url: z.string(),
  status: z.string(),
  message: z.string().default(""),
  roles: z.array(z.string()).nullish(),
});

type Clusters = RawBackend["clusters"];

export function lxdClusters(client: LxdClient): Clusters {
  const state = async (signal: AbortSignal) =>
    client.read(clusterSchema, { path: "/1.0/cluster", signal });
  const nodes: Clusters["nodes"] = async (_request, signal) => {
    if (!(await state(signal)).enabled) return [];
    const request = { path: "/1.0/cluster/members", query: { recursion: "1" }, signal };
    const members = await client.read(z.array(memberSchema), request);
    return members.map((member) => ({
      node: member.server_name,
      address: new URL(member.url).host,
      status: member.status.toLowerCase(),
      message: member.message,
      roles: member.roles ?? [],
    }));
  };
  const info = async (signal: AbortSignal): Promise<Cluster> => {
    const { enabled, server_name } = await state(signal);
    const members = await nodes({}, signal);
    return { clustered: enabled, node: enabled ? server_name : undefined, nodes: members.length };
  };
  return {
    info: async (_request, signal) => info(signal),
    nodes,
    join: async (request, signal) => {
      if ((await state(signal)).enabled) {
        throw new BackendError("conflict", "this server is in a cluster already");
      }
      const body = await joinBody(request, signal); // a bad token changes nothing
      await client.run({
        method: "PATCH",
        path: "/1.0",
        body: { config: { "core.https_address": request.address } },
        signal,
      });
      await client.run({ method: "PUT", path: "/1.0/cluster", body, signal });
      return info(signal);
    },
    leave: async ({ node, force = false }, signal) => {
      const path = `/1.0/cluster/members/${encodeURIComponent(node)}`;
      const query = force ? { force: "1" } : {};
      await client.run({ method: "DELETE", path, query, signal });
    },
  };
}

/** The first server of a cluster has nobody to trust; any other finds the cluster's certificate by the token's fingerprint. */
async function joinBody({ node, address, token }: JoinRequest, signal: AbortSignal) {
  const self = { server_name: node, enabled: true };
  if (token === undefined) return self;
  const { fingerprint, addresses } = readToken(token);
  const found = await certificateOf(addresses, fingerprint, signal);
  return {
    ...self,
    server_address: address,
    cluster_address: found.address,
    cluster_certificate: found.certificate,
    // LXD 5.0 takes it as the password, Incus and later LXDs by its own name; each leaves the other alone.
    cluster_password: token,
    cluster_token: token,
    member_config: [],
  };
}
