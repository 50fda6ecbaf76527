import type { Credentials } from "../../lib/access.ts";
import { optional, secret, text, url, type Config } from "../../lib/config.ts";
import { readLogin, readTls } from "../../lib/credentials.ts";

/** How to reach the hypervisor's REST API, and as whom. */
export const hypervisorVariables = {
  hypervisorUrl: optional(
    "RUNBOOK_HYPERVISOR_URL",
    url,
    "the hypervisor's REST API; without it no policy may name restart_container",
  ),
  hypervisorToken: optional(
    "RUNBOOK_HYPERVISOR_TOKEN",
    secret,
    "API token for the hypervisor; it needs container:read, container:start and container:stop",
  ),
  hypervisorCaFile: optional(
    "RUNBOOK_HYPERVISOR_CA_FILE",
    text,
    "PEM file of the only authorities that may have signed the hypervisor's certificate; read again when it changes",
  ),
} as const;

type Settings = Config<typeof hypervisorVariables>;

export interface HypervisorAccess extends Credentials {
  readonly url: string;
}

/** The variables put together; undefined without an address. What is wrong with them is added to `problems`. */
export function hypervisorAccess(
  { hypervisorUrl, hypervisorToken: token, hypervisorCaFile: ca }: Settings,
  problems: string[] = [],
): HypervisorAccess | undefined {
  if ((hypervisorUrl === undefined) !== (token === undefined))
    problems.push("RUNBOOK_HYPERVISOR_URL and RUNBOOK_HYPERVISOR_TOKEN: set both or none");
  const login = readLogin(
    { token, user: undefined, password: undefined },
    { token: "RUNBOOK_HYPERVISOR_TOKEN", user: "", password: "" },
    problems,
  );
  const tls = readTls(
    { ca, cert: undefined, key: undefined },
    { ca: "RUNBOOK_HYPERVISOR_CA_FILE", cert: "", key: "", url: "RUNBOOK_HYPERVISOR_URL" },
    { secure: hypervisorUrl?.startsWith("https:") ?? false, problems },
  );
  return hypervisorUrl === undefined ? undefined : { url: hypervisorUrl, ...login, tls };
}

export function hypervisorProblems(settings: Settings): readonly string[] {
  const problems: string[] = [];
  hypervisorAccess(settings, problems);
  return problems;
}
