import type * as KubernetesClient from "@kubernetes/client-node";
import type { AppsV1Api, KubeConfig } from "@kubernetes/client-node";
import { ClusterError } from "../../types/cluster.ts";

const TIMEOUT_MS = 10_000;
/** What the client supposes when it found no configuration at all. It then refuses it with words about TLS that lead astray. */
const NOTHING_FOUND = "http://localhost:8080";

type Options = NonNullable<Parameters<AppsV1Api["readNamespacedDeployment"]>[1]>;

/** A cluster that is connected to when it is first needed: the client costs 0.6 s of CPU, and the file may come later. */
export interface Kubernetes {
  /** @throws ClusterError when the kubeconfig cannot be read */
  readonly connected: () => Promise<Connection>;
  /** Another one than `refused`: its kubeconfig, with the token in it, is read again unless somebody did so already. */
  readonly reconnected: (refused: Connection) => Promise<Connection>;
}

export interface Connection {
  readonly apps: AppsV1Api;
  /** For further APIs: `config.makeApiClient(client.PolicyV1Api)`. */
  readonly client: typeof KubernetesClient;
  readonly config: KubeConfig;
  /** A time limit, and the media type of a patch (the client's default is JSON Patch, which is another language). */
  readonly options: (contentType?: string) => Options;
}

/**
 * The cluster by `@kubernetes/client-node`.
 *
 * @param kubeconfig a file; the default chain (KUBECONFIG, ~/.kube/config, the pod's service account) when undefined
 */
export function connectKubernetes(
  kubeconfig: string | undefined,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Kubernetes {
  let connection: Promise<Connection> | undefined;
  const connected = async () => {
    connection ??= connect(kubeconfig, timeoutMs);
    return connection.catch((error: unknown) => {
      connection = undefined; // the file may be there, or be right, the next time
      throw error;
    });
  };
  return {
    connected,
    reconnected: async (refused) => {
      if ((await connection) === refused) connection = undefined;
      return connected();
    },
  };
}

async function connect(kubeconfig: string | undefined, timeoutMs: number): Promise<Connection> {
  const client = await import("@kubernetes/client-node");
  const { AppsV1Api, KubeConfig, setHeaderMiddleware } = client;
  const config = new KubeConfig();
  load(config, kubeconfig);
  const options = (contentType?: string): Options => {
    const header =
      contentType === undefined
        ? setHeaderMiddleware("Accept", "application/json")
        : setHeaderMiddleware("Content-Type", contentType);
    const middleware: NonNullable<Options["middleware"]>[number] = {
      pre: (context) => {
        context.setSignal(AbortSignal.timeout(timeoutMs));
        return header.pre(context);
      },
      post: (context) => header.post(context),
    };
    return { middleware: [middleware], middlewareMergeStrategy: "append" };
  };
  return { apps: config.makeApiClient(AppsV1Api), client, config, options };
}

function load(config: KubeConfig, kubeconfig: string | undefined): void {
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    throw new ClusterError(`the kubeconfig ${kubeconfig ?? ""} cannot be read`, {
      retryable: false,
      cause,
    });
  }
  if (kubeconfig === undefined && config.getCurrentCluster()?.server === NOTHING_FOUND)
    throw new ClusterError(
      "no cluster is configured: KUBECONFIG is not set, and there is no ~/.kube/config and no service account of a pod",
      { retryable: false },
    );
}
