import type { PrometheusAccess } from "../../lib/access.ts";
import type { Permission } from "../permissions.ts";
import type { Principal } from "../types.ts";

/** `read` changes nothing; `change` needs more than to look; `no` is not passed on to anybody's account. */
export type Verdict = "read" | "change" | "no";

/** A server that is shown under a prefix of ours. Where it is says the configuration, and nobody else. */
export interface ProxyTarget {
  /** For people: `Grafana`. */
  readonly name: string;
  /** `/grafana`; taken away before a path is passed on. */
  readonly prefix: string;
  readonly access: PrometheusAccess | undefined;
  readonly permission: Permission;
  /** @param path below the prefix, with its slash, without the query and without escapes */
  readonly judge: (method: string, path: string) => Verdict;
  /** Headers that tell the server who asks, set by nobody but us. */
  readonly identity: (principal: Principal) => Readonly<Record<string, string>>;
}
