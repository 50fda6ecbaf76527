import type { CoreV1Api, CoreV1Event } from "@kubernetes/client-node";
import { hasCode } from "../../lib/error.ts";
import type { EventMirror, StoredEvent } from "../events/types.ts";

const TIMEOUT_MS = 5_000;
const MERGE_PATCH = "application/merge-patch+json";

type Options = NonNullable<Parameters<CoreV1Api["createNamespacedEvent"]>[1]>;

interface Connection {
  readonly core: CoreV1Api;
  /** The client wants objects of its own class. */
  readonly made: () => CoreV1Event;
  readonly options: (contentType?: string) => Options;
}

/**
 * Shows events as core/v1 Events of one namespace, for `kubectl get events`. A count that grows is a patch of the same object,
 * for which the rights `create` and `patch` are enough. The cluster forgets them by its own time.
 */
export function kubernetesEvents(namespace: string, kubeconfig: string | undefined): EventMirror {
  let connecting: Promise<Connection> | undefined;
  const connected = async (): Promise<Connection> => {
    connecting ??= connect(kubeconfig);
    return connecting.catch((error: unknown) => {
      connecting = undefined; // the file may be there, or be right, the next time
      throw error;
    });
  };
  return {
    show: async (event) => {
      const connection = await connected();
      const { core, options } = connection;
      const name = nameOf(event);
      try {
        if (event.count === 1) await create(connection, { namespace, name, event });
        else {
          const body = { count: event.count, lastTimestamp: event.last_timestamp };
          await core.patchNamespacedEvent({ namespace, name, body }, options(MERGE_PATCH));
        }
      } catch (error) {
        if (hasCode(error, "401")) connecting = undefined; // its token may have been rotated
        // It was forgotten there; or it is there from a time that was forgotten here, and then the next one counts on.
        if (hasCode(error, "404")) await create(connection, { namespace, name, event });
        else if (!hasCode(error, "409")) throw error;
      }
    },
  };
}

async function create(
  { core, made, options }: Connection,
  given: { readonly namespace: string; readonly name: string; readonly event: StoredEvent },
): Promise<void> {
  const { namespace, name, event } = given;
  const body = Object.assign(made(), {
    metadata: { name, namespace },
    // Kubernetes wants the object to be of the event's namespace, whatever it is.
    involvedObject: {
      kind: event.involved_object_kind,
      name: event.involved_object_name,
      namespace,
    },
    type: event.type,
    reason: event.reason,
    message: event.message,
    count: event.count,
    firstTimestamp: new Date(event.first_timestamp),
    lastTimestamp: new Date(event.last_timestamp),
    source: { component: event.component },
    reportingComponent: event.component,
    reportingInstance: event.component,
  });
  await core.createNamespacedEvent({ namespace, body }, options());
}

/** Of characters that Kubernetes allows; the digits at its end keep names apart. */
function nameOf({ name }: StoredEvent): string {
  return name.replaceAll(/[^a-z0-9.-]/g, "-").replace(/^[^a-z0-9]+/, "");
}

async function connect(kubeconfig: string | undefined): Promise<Connection> {
  const client = await import("@kubernetes/client-node");
  const { CoreV1Api, CoreV1Event, KubeConfig, setHeaderMiddleware } = client;
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  const options = (contentType?: string): Options => {
    const header =
      contentType === undefined
        ? setHeaderMiddleware("Accept", "application/json")
        : setHeaderMiddleware("Content-Type", contentType);
    const middleware: NonNullable<Options["middleware"]>[number] = {
      pre: (context) => {
        context.setSignal(AbortSignal.timeout(TIMEOUT_MS));
        return header.pre(context);
      },
      post: (context) => header.post(context),
    };
    return { middleware: [middleware], middlewareMergeStrategy: "append" };
  };
  return { core: config.makeApiClient(CoreV1Api), made: () => new CoreV1Event(), options };
}
