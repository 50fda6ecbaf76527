import type { V1ObjectMeta, V1Pod } from "@kubernetes/client-node";
import type { EvictRequest, Pod } from "../../types/cluster.ts";
import { describeTarget, type Target } from "../../types/target.ts";
import type { Call } from "./call.ts";
import type { Connection } from "./connect.ts";
import { bodyOf, statusOf } from "./errors.ts";
import { readWorkload, selectorText } from "./workload.ts";

/** The pods whose owner references end at the target: a label alone may be on anybody's pod. */
export async function readPods(connection: Connection, target: Target): Promise<readonly V1Pod[]> {
  const { config, client, options } = connection;
  const workload = await readWorkload(connection, target);
  const labelSelector = selectorText(workload.spec?.selector);
  const where = { namespace: target.namespace, labelSelector };
  const core = config.makeApiClient(client.CoreV1Api);
  const { items } = await core.listNamespacedPod(where, options());
  const owners = new Set([workload.metadata?.uid]);
  if (target.kind === "deployment") {
    const sets = await connection.apps.listNamespacedReplicaSet(where, options());
    for (const { metadata } of sets.items)
      if (ownerOf(metadata) === workload.metadata?.uid) owners.add(metadata?.uid);
  }
  return items.filter(({ metadata }) => owners.has(ownerOf(metadata) ?? "none"));
}

function ownerOf(metadata: V1ObjectMeta | undefined): string | undefined {
  return metadata?.ownerReferences?.find(({ controller }) => controller === true)?.uid;
}

export function toPod({ metadata, status }: V1Pod): Pod {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return {
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    ready: ready?.status === "True",
    leaving: metadata?.deletionTimestamp !== undefined,
  };
}

/** `POST …/eviction` with the uid as its precondition; a pod of that uid that is gone already is no error. */
export async function evictPod(
  call: Call,
  target: Target,
  { name, uid, dryRun }: EvictRequest,
): Promise<"accepted" | "gone"> {
  const { namespace } = target;
  return call(`evict pod ${name} of ${describeTarget(target)}`, async (connection) => {
    const { config, client, options } = connection;
    const core = config.makeApiClient(client.CoreV1Api);
    const body = Object.assign(new client.V1Eviction(), {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name, namespace },
      deleteOptions: { preconditions: { uid } },
    });
    const check = dryRun ? { dryRun: "All" } : {};
    try {
      await core.createNamespacedPodEviction({ namespace, name, body, ...check }, options());
      return "accepted";
    } catch (error) {
      if (isGone(error)) return "gone";
      throw error;
    }
  });
}

/** No such pod, or one of the same name that is another. */
function isGone(error: unknown): boolean {
  const status = statusOf(error);
  return status === 404 || (status === 409 && bodyOf(error).includes("UID in the precondition"));
}
