import type { TlsAccess } from "../lib/access.ts";
import { choice, optional, text, url, type Config } from "../lib/config.ts";
import { readTls } from "../lib/credentials.ts";

const NAMES = ["lxd", "incus", "docker", "podman", "memory"] as const;
type BackendName = (typeof NAMES)[number];

/** What runs the containers, and how to reach it. */
export const backendVariables = {
  backend: optional(
    "HYPERVISOR_BACKEND",
    choice(...NAMES),
    "what runs the containers: lxd, incus, docker, podman, or memory, which only pretends; without it those routes answer 501",
  ),
  backendSocket: optional(
    "HYPERVISOR_BACKEND_SOCKET",
    text,
    "its unix socket; without it (and without an address) where its package puts it",
  ),
  backendUrl: optional("HYPERVISOR_BACKEND_URL", url, "its https:// address, instead of a socket"),
  backendCertFile: optional(
    "HYPERVISOR_BACKEND_CERT_FILE",
    text,
    "PEM file of the client certificate for that address",
  ),
  backendKeyFile: optional("HYPERVISOR_BACKEND_KEY_FILE", text, "PEM file of its key"),
  backendCaFile: optional(
    "HYPERVISOR_BACKEND_CA_FILE",
    text,
    "PEM file of the backend's own certificate, or of who signed it",
  ),
} as const;

type Settings = Config<typeof backendVariables>;

type BackendAddress =
  { readonly socket: string } | { readonly url: string; readonly tls: TlsAccess | undefined };

export interface BackendAccess {
  readonly name: BackendName;
  readonly address: BackendAddress;
}

/** Where the packages put them: the distribution's. */
const SOCKETS: Readonly<Record<BackendName, string>> = {
  lxd: "/var/lib/lxd/unix.socket",
  incus: "/var/lib/incus/unix.socket",
  docker: "/run/docker.sock",
  podman: "/run/podman/podman.sock",
  memory: "",
};

/** The variables put together; undefined without a backend. What is wrong with them is added to `problems`. */
export function backendAccess(
  settings: Settings,
  problems: string[] = [],
): BackendAccess | undefined {
  const { backend: name, backendSocket, backendUrl } = settings;
  if (backendSocket !== undefined && backendUrl !== undefined)
    problems.push("HYPERVISOR_BACKEND_SOCKET and HYPERVISOR_BACKEND_URL: set one of them");
  const tls = readTls(
    {
      ca: settings.backendCaFile,
      cert: settings.backendCertFile,
      key: settings.backendKeyFile,
    },
    {
      ca: "HYPERVISOR_BACKEND_CA_FILE",
      cert: "HYPERVISOR_BACKEND_CERT_FILE",
      key: "HYPERVISOR_BACKEND_KEY_FILE",
      url: "HYPERVISOR_BACKEND_URL",
    },
    { secure: backendUrl?.startsWith("https:") ?? false, problems },
  );
  // Whoever reaches an engine's API is root on its host.
  if (backendUrl?.startsWith("http:") === true)
    problems.push("HYPERVISOR_BACKEND_URL: must be https://");
  if (name === undefined) return undefined;
  if (backendUrl !== undefined) return { name, address: { url: backendUrl, tls } };
  return { name, address: { socket: backendSocket ?? SOCKETS[name] } };
}

/** What is wrong with the variables together. */
export function backendProblems(settings: Settings): readonly string[] {
  const problems: string[] = [];
  backendAccess(settings, problems);
  return problems;
}
