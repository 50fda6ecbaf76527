import type { Right } from "../../doctor/types.ts";
import type { Kubernetes } from "./connect.ts";
import { clusterError } from "./errors.ts";

/** Asks the API server whether it would let us. @throws ClusterError */
export async function mayDo(
  { namespace, group, resource, subresource, verb }: Right,
  kubernetes: Kubernetes,
): Promise<boolean> {
  const { client, config, options } = await kubernetes.connected();
  const api = config.makeApiClient(client.AuthorizationV1Api);
  const resourceAttributes = { namespace, group, resource, subresource, verb };
  const body = Object.assign(new client.V1SelfSubjectAccessReview(), {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes },
  });
  try {
    const review = await api.createSelfSubjectAccessReview({ body }, options());
    return review.status?.allowed === true;
  } catch (error) {
    throw clusterError("ask for our own rights", error);
  }
}
