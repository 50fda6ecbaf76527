import { ClusterError } from "../../types/cluster.ts";
import type { Connection, Kubernetes } from "./connect.ts";
import { clusterError, statusOf } from "./errors.ts";

/** Asks the cluster something. `what` says it to people: `read Deployment shop/web`. @throws ClusterError */
export type Call = <Answer>(
  what: string,
  work: (connection: Connection) => Promise<Answer>,
) => Promise<Answer>;

/** A token may have been rotated: after a 401 the kubeconfig is read again, once. */
export function caller({ connected, reconnected }: Kubernetes): Call {
  return async (what, work) => {
    const connection = await connected();
    try {
      try {
        return await work(connection);
      } catch (error) {
        if (statusOf(error) !== 401) throw error;
        return await work(await reconnected(connection));
      }
    } catch (error) {
      throw error instanceof ClusterError ? error : clusterError(what, error);
    }
  };
}
