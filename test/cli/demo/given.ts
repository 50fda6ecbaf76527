import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import type { Kubernetes } from "../../../cli/demo/kubernetes.ts";

export const WEB = { namespace: "default", name: "web" };
export const WEB_PATH = "/apis/apps/v1/namespaces/default/deployments/web";
export const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
export const STRATEGIC = setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch);

/** The body of a rollout restart. */
export function restart(at: string, resourceVersion?: string): object {
  const annotations = { "kubectl.kubernetes.io/restartedAt": at };
  return {
    metadata: { annotations: { "fettle.dev/run-id": "r1" }, resourceVersion },
    spec: { template: { metadata: { annotations } } },
  };
}

/** The bare protocol: status and the parsed (or plain) body. */
export async function raw(
  { url }: Kubernetes,
  path: string,
  init: RequestInit = {},
  token: string | null = "admin",
): Promise<{ readonly status: number; readonly body: unknown }> {
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}${path}`, {
    ...init,
    headers: { ...authorization, ...(init.headers as Record<string, string> | undefined) },
  });
  const body = await response.text();
  const isJson = response.headers.get("content-type") === "application/json";
  return { status: response.status, body: isJson ? (JSON.parse(body) as unknown) : body };
}

export function patch(body: unknown, type = "application/merge-patch+json"): RequestInit {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { method: "PATCH", headers: { "content-type": type }, body: text };
}
