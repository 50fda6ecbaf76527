import type { Credentials } from "../../lib/access.ts";

/** How to reach the members of an Alertmanager cluster; all of them as the same user. */
export interface AlertmanagerAccess extends Credentials {
  readonly urls: readonly string[];
}
