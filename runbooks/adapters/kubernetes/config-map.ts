import { messageOf } from "../../../lib/error.ts";
import { ClusterError } from "../../types/cluster.ts";
import type { PolicyMap } from "../../types/policy.ts";
import type { Kubernetes } from "./connect.ts";
import { statusOf } from "./errors.ts";

const CHANGED_BY = "fettle.dev/changed-by";
/** The client gives up a quiet watch after 30 s, with an error; the server's own end before that is none. */
const WATCH_SECONDS = 25;

/** The ConfigMap `<namespace>/<name>`: listed by its name, so that one role (list, watch) is enough for both calls. */
export function policyConfigMap(place: string, kubernetes: Kubernetes): PolicyMap {
  const [namespace = "", name = ""] = place.split("/");
  const fieldSelector = `metadata.name=${name}`;
  return {
    name: place,
    read: async () => {
      const { client, config, options } = await kubernetes.connected();
      try {
        const { items, metadata } = await config
          .makeApiClient(client.CoreV1Api)
          .listNamespacedConfigMap({ namespace, fieldSelector }, options());
        const [map] = items;
        return {
          data: map === undefined ? undefined : (map.data ?? {}),
          version: metadata?.resourceVersion ?? "",
          changedBy: map?.metadata?.annotations?.[CHANGED_BY],
        };
      } catch (error) {
        // A server without ConfigMaps has none; it says so in plain text.
        if (statusOf(error) === 404) return { data: undefined, version: "", changedBy: undefined };
        throw refusal(place, error);
      }
    },
    changed: async (version, signal) => {
      const query = { fieldSelector, resourceVersion: version, timeoutSeconds: WATCH_SECONDS };
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`;
      try {
        return await watchOnce(kubernetes, { path, query }, signal);
      } catch {
        return "lost";
      }
    },
  };
}

interface WatchRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string | number>>;
}

/** Until the first event, the watch's end, or the signal; then the connection is given up. */
async function watchOnce(
  { connected }: Kubernetes,
  { path, query }: WatchRequest,
  signal: AbortSignal,
): Promise<"look" | "lost"> {
  const { client, config } = await connected();
  const { promise, resolve } = Promise.withResolvers<"look" | "lost">();
  const aborted = () => {
    resolve("look");
  };
  signal.addEventListener("abort", aborted);
  if (signal.aborted) aborted();
  const request = new client.Watch(config).watch(
    path,
    { ...query },
    (phase) => {
      if (phase !== "BOOKMARK") resolve(phase === "ERROR" ? "lost" : "look");
    },
    (error: unknown) => {
      resolve(error === null || error === undefined ? "look" : "lost");
    },
  );
  // Without a connection the call itself fails: handled at once, as nobody else hears of it.
  request.catch(() => {
    resolve("lost");
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", aborted);
    void request.then(
      (controller) => {
        controller.abort();
      },
      () => undefined,
    );
  }
}

function refusal(place: string, cause: unknown): ClusterError {
  const status = statusOf(cause);
  const [namespace = ""] = place.split("/");
  const detail =
    status === 403
      ? `forbidden (it takes the verbs list and watch for configmaps in namespace ${namespace})`
      : (messageOf(cause).split("\n", 1)[0] ?? "").slice(0, 200);
  const retryable = status === undefined || status >= 500 || status === 429;
  const message = `cannot read the policy's ConfigMap ${place}: ${detail}`;
  return new ClusterError(message, { retryable, status, cause });
}
