import type { AppsV1Api, KubeConfig, V1Deployment } from "@kubernetes/client-node";
import { messageOf } from "../../lib/error.ts";
import {
  ClusterError,
  type Cluster,
  type RestartRequest,
  type Target,
  type Workload,
} from "../types.ts";

/** kubectl's own annotation, so that `kubectl rollout history` and people see what they know. */
const RESTARTED_AT = "kubectl.kubernetes.io/restartedAt";
const RUN_ID = "fettle.dev/run-id";
const FIELD_MANAGER = "fettle";
const TIMEOUT_MS = 10_000;

/**
 * The cluster by `@kubernetes/client-node`, which is loaded when it is first needed (0.6 s of CPU).
 *
 * @param kubeconfig a file; the default chain (KUBECONFIG, ~/.kube/config, the pod's service account) when undefined
 */
export function kubernetesCluster(
  kubeconfig: string | undefined,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Cluster {
  let connection: Promise<Connection> | undefined;
  const connected = async () => {
    connection ??= connect(kubeconfig, timeoutMs);
    return connection.catch((error: unknown) => {
      connection = undefined; // the file may be there, or be right, the next time
      throw error;
    });
  };
  return {
    workload: async (target) => {
      const { apps, options } = await connected();
      try {
        return toWorkload(
          await apps.readNamespacedDeployment(
            { namespace: target.namespace, name: target.name },
            options(),
          ),
        );
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw clusterError("read", target, error);
      }
    },
    restart: async (target, request) => {
      const { apps, options } = await connected();
      try {
        await apps.patchNamespacedDeployment(
          {
            namespace: target.namespace,
            name: target.name,
            fieldManager: FIELD_MANAGER,
            ...(request.dryRun ? { dryRun: "All" } : {}),
            body: restartPatch(request),
          },
          options("application/merge-patch+json"),
        );
        return "accepted";
      } catch (error) {
        if (statusOf(error) === 409) return "conflict";
        throw clusterError("patch", target, error);
      }
    },
  };
}

type Options = NonNullable<Parameters<AppsV1Api["readNamespacedDeployment"]>[1]>;

interface Connection {
  readonly apps: AppsV1Api;
  /** A time limit, and the media type of a patch (the client's default is JSON Patch, which is another language). */
  readonly options: (contentType?: string) => Options;
}

async function connect(kubeconfig: string | undefined, timeoutMs: number): Promise<Connection> {
  const { AppsV1Api, KubeConfig, setHeaderMiddleware } = await import("@kubernetes/client-node");
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
  return { apps: config.makeApiClient(AppsV1Api), options };
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
}

/** The precondition makes it safe to send twice: the server refuses with 409 unless the object is still the one we read. */
function restartPatch({ resourceVersion, restartedAt, runId }: RestartRequest): object {
  return {
    metadata: { resourceVersion, annotations: { [RUN_ID]: runId } },
    spec: { template: { metadata: { annotations: { [RESTARTED_AT]: restartedAt } } } },
  };
}

function toWorkload({ metadata, spec, status }: V1Deployment): Workload {
  return {
    generation: metadata?.generation ?? 0,
    resourceVersion: metadata?.resourceVersion ?? "",
    replicas: spec?.replicas ?? 1, // the API server's own default
    paused: spec?.paused ?? false,
    ...restartOf(metadata, spec),
    ...progressOf(status),
  };
}

function restartOf(metadata: V1Deployment["metadata"], spec: V1Deployment["spec"]) {
  return {
    restartedAt: spec?.template.metadata?.annotations?.[RESTARTED_AT],
    restartedBy: metadata?.annotations?.[RUN_ID],
  };
}

/** What the Deployment controller reports; it leaves out what is 0. */
function progressOf(status: V1Deployment["status"]) {
  return {
    observedGeneration: status?.observedGeneration ?? 0,
    updatedReplicas: status?.updatedReplicas ?? 0,
    availableReplicas: status?.availableReplicas ?? 0,
  };
}

/** The server's HTTP status; undefined without an answer. (A timeout's DOMException has a number as well: 23.) */
function statusOf(error: unknown): number | undefined {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "number" && code >= 100 ? code : undefined;
}

/** 4xx is the server's last word; everything else (5xx, 429, no connection, no answer in time) may be tried again. */
function clusterError(verb: string, { namespace, name }: Target, cause: unknown): ClusterError {
  const status = statusOf(cause);
  const retryable = status === undefined || status >= 500 || status === 429;
  const detail = statusMessage(cause);
  return new ClusterError(`cannot ${verb} Deployment ${namespace}/${name}: ${detail}`, {
    retryable,
    cause,
  });
}

/** The `message` of a Kubernetes Status, which the client keeps as the text of the body. */
function statusMessage(cause: unknown): string {
  const { body } = cause as { readonly body?: unknown };
  if (typeof body === "string") {
    const [, message] = /"message":"((?:[^"\\]|\\.)*)"/.exec(body) ?? [];
    if (message !== undefined) return JSON.parse(`"${message}"`) as string;
  }
  // The client's own errors go on with the headers; their first two lines are the status and its name.
  return messageOf(cause).split("\n").slice(0, 2).join(", ").slice(0, 200);
}
