import { authorizationOf } from "../../../lib/authorization.ts";
import { exchange } from "../../../lib/exchange.ts";
import type { Log } from "../../../lib/log.ts";
import { followTlsFiles } from "../../../lib/tls-options.ts";
import type { HypervisorAccess } from "../../config/hypervisor.ts";
import type { ContainerLogs } from "../../types/collect.ts";

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** `GET /api/v1/containers/{name}/logs` of the hypervisor: plain text, or JSON with lines. */
export function hypervisorLogs(access: HypervisorAccess, log: Log): ContainerLogs {
  const tls = followTlsFiles(access.tls, { owner: "the hypervisor", log });
  return {
    logs: async ({ namespace, name }, lines, signal) => {
      const query = new URLSearchParams({
        ...(namespace === undefined ? {} : { project: namespace }),
        lines: String(lines),
      }).toString();
      const path = `/api/v1/containers/${encodeURIComponent(name)}/logs?${query}`;
      const { status, text, headers } = await exchange(`${access.url}${path}`, {
        headers: { accept: "text/plain, application/json", ...authorizationOf(access) },
        signal,
        tls: tls(),
        bytesMax: ANSWER_BYTES_MAX,
      });
      if (status !== 200) throw new Error(`the hypervisor answered ${status}`);
      return headers.get("content-type")?.includes("json") === true ? linesIn(text) : text;
    },
  };
}

/** `["line", …]`, or `{"lines": […]}` or `{"logs": […]}`; anything else as it is. */
function linesIn(text: string): string {
  try {
    const answer = JSON.parse(text) as unknown;
    const { lines, logs } = (answer ?? {}) as { readonly lines?: unknown; readonly logs?: unknown };
    const list = [answer, lines, logs].find((value) => Array.isArray(value)) as
      readonly unknown[] | undefined;
    if (list !== undefined) return list.map(lineOf).join("\n");
    return typeof logs === "string" ? logs : text;
  } catch {
    return text;
  }
}

function lineOf(line: unknown): string {
  return typeof line === "string" ? line : JSON.stringify(line);
}
