import { messageOf } from "../../../lib/error.ts";
import { ClusterError, type ClusterRefusal } from "../../types/cluster.ts";

/** The server's HTTP status; undefined without an answer. (A timeout's DOMException has a number as well: 23.) */
export function statusOf(error: unknown): number | undefined {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "number" && code >= 100 ? code : undefined;
}

/** What the server said about why, in its own words. */
export function bodyOf(error: unknown): string {
  const { body } = error as { readonly body?: unknown };
  return typeof body === "string" ? body : "";
}

/**
 * 4xx is the server's last word; everything else (5xx, 429, no connection, no answer in time) may be tried again.
 *
 * @param what for people, such as `patch Deployment shop/web`
 */
export function clusterError(what: string, cause: unknown): ClusterError {
  const status = statusOf(cause);
  const reason = reasonOf(status, bodyOf(cause));
  const passing = status === undefined || status >= 500 || status === 429;
  return new ClusterError(`cannot ${what}: ${statusMessage(cause)}`, {
    retryable: passing && reason !== "pdb-misconfigured",
    status,
    reason,
    retryAfterMs: retryAfterOf(cause),
    cause,
  });
}

function reasonOf(status: number | undefined, body: string): ClusterRefusal | undefined {
  if (status === 429) return body.includes("DisruptionBudget") ? "pdb" : "throttled";
  if (status === 500 && body.includes("more than one PodDisruptionBudget"))
    return "pdb-misconfigured";
  return status === undefined ? undefined : REASONS[status];
}

const REASONS: Readonly<Record<number, ClusterRefusal>> = {
  401: "unauthorized",
  403: "forbidden",
  409: "conflict",
  422: "invalid",
};

/** Kubernetes says seconds, never a date. */
function retryAfterOf(cause: unknown): number | undefined {
  const { headers } = cause as { readonly headers?: Readonly<Record<string, string>> };
  const seconds = Number(headers?.["retry-after"] ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** The `message` of a Kubernetes Status, which the client keeps as the text of the body. */
function statusMessage(cause: unknown): string {
  const [, message] = /"message":"((?:[^"\\]|\\.)*)"/.exec(bodyOf(cause)) ?? [];
  if (message !== undefined) return JSON.parse(`"${message}"`) as string;
  // The client's own errors go on with the headers; their first two lines are the status and its name.
  return messageOf(cause).split("\n").slice(0, 2).join(", ").slice(0, 200);
}
