import { isIP } from "node:net";
import {
  ConfigError,
  integer,
  list,
  optional,
  port,
  postgresUrl,
  readConfig,
  required,
  secret,
  text,
  withDefault,
  type Config,
  type Environment,
} from "../lib/config.ts";

import { backendProblems, backendVariables } from "./config-backend.ts";
import { exportProblems, exportVariables } from "./config-export.ts";
import { observingProblems, observingVariables } from "./config-observing.ts";
import { DEFAULT_ADMIN } from "./auth/first-admin.ts";
import { weakness } from "./auth/weakness.ts";

const issuer = text.refine(
  (value) => URL.canParse(value) && (value.startsWith("https://") || isLoopbackUrl(value)),
  { error: "must be an https:// address (http:// on this machine)" },
);

function isLoopbackUrl(value: string): boolean {
  return /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(\/|$)/.test(value);
}

const origins = list.refine(
  (all) => all.every((each) => URL.canParse(each) && new URL(each).origin === each),
  { error: "must be origins such as https://console.example.com, without a path" },
);

const namespaceName = text.refine((name) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name), {
  error: "must be a namespace's name",
});

const addresses = list.refine((all) => all.every(isAddressOrBlock), {
  error: "must be IP addresses or CIDR blocks",
});

function isAddressOrBlock(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more !== undefined) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  );
}

export const shape = {
  databaseUrl: required(
    "AIOPS_DATABASE_URL",
    postgresUrl,
    "PostgreSQL address of Fettle's database",
  ),
  host: withDefault(
    "HYPERVISOR_HOST",
    text,
    "127.0.0.1",
    "address to listen on; 0.0.0.0 in a container",
  ),
  port: withDefault("HYPERVISOR_PORT", port, 8443, "port of the REST API"),
  apiToken: optional("HYPERVISOR_API_TOKEN", secret, "bearer token of the API, 32 bytes or more"),
  adminPassword: optional(
    "HYPERVISOR_ADMIN_PASSWORD",
    secret,
    "first password of the first user, admin, to be changed at the first login; without it one is made up and printed once",
  ),
  passwordPepper: optional(
    "HYPERVISOR_PASSWORD_PEPPER",
    secret,
    "goes into every password's hash and is not in the database; with another one no password is right",
  ),
  jwtKeyFile: optional(
    "HYPERVISOR_JWT_KEY_FILE",
    text,
    "Ed25519 private key (PEM, PKCS#8) that signs access tokens; without it one is kept in the database",
  ),
  jwtOldKeyFile: optional(
    "HYPERVISOR_JWT_OLD_KEY_FILE",
    text,
    "the key before it, whose tokens are still believed",
  ),
  oidcIssuer: optional(
    "OIDC_ISSUER",
    issuer,
    "OpenID Connect issuer, exactly as in its tokens, whose bearer tokens are accepted",
  ),
  oidcAudience: withDefault("OIDC_AUDIENCE", text, "fettle-hypervisor", "audience of its tokens"),
  oidcUsernameClaim: withDefault(
    "OIDC_USERNAME_CLAIM",
    text,
    "preferred_username",
    "claim of its tokens that is the name of a user here",
  ),
  corsOrigins: withDefault(
    "HYPERVISOR_CORS_ORIGINS",
    origins,
    [],
    "origins (https://host[:port]), comma-separated, whose pages may use the API",
  ),
  trustedProxies: withDefault(
    "HYPERVISOR_TRUSTED_PROXIES",
    addresses,
    [],
    "addresses and CIDR blocks, comma-separated, of proxies whose X-Forwarded-For counts",
  ),
  requestsPerMinute: withDefault(
    "HYPERVISOR_REQUESTS_PER_MINUTE",
    integer({ min: 1, max: 1_000_000 }),
    600,
    "requests that one token or person may send; each process counts its own",
  ),
  ...backendVariables,
  ...observingVariables,
  ...exportVariables,
  operationLeaseSeconds: withDefault(
    "HYPERVISOR_OPERATION_LEASE_SECONDS",
    integer({ min: 3, max: 600 }),
    15,
    "after so long another process takes over an operation whose process was killed",
  ),
  eventTtlSeconds: withDefault(
    "HYPERVISOR_EVENT_TTL_SECONDS",
    integer({ min: 60, max: 31 * 86_400 }),
    3_600,
    "how long events are kept after they came for the last time; Kubernetes' own default",
  ),
  eventsNamespace: optional(
    "HYPERVISOR_EVENTS_KUBERNETES_NAMESPACE",
    namespaceName,
    "namespace of a Kubernetes cluster in which events are shown too; without it they are not",
  ),
  kubeconfig: optional("KUBECONFIG", text, "cluster access; the pod's service account when unset"),
  dataPath: withDefault("HYPERVISOR_DATA_PATH", text, "/", "whose disk the metrics measure"),
} as const;

export type HypervisorConfig = Config<typeof shape>;

/** Shorter tokens can be guessed; `openssl rand -hex 32` makes a good one. */
const TOKEN_BYTES_MIN = 32;

/** @throws ConfigError listing all problems */
export function readHypervisorConfig(env: Environment): HypervisorConfig {
  const config = readConfig(shape, env);
  const { apiToken, adminPassword, jwtKeyFile, jwtOldKeyFile } = config;
  const weak = adminPassword && weakness(adminPassword.reveal(), { username: DEFAULT_ADMIN });
  if (weak !== undefined) throw new ConfigError([`HYPERVISOR_ADMIN_PASSWORD: ${weak}`]);
  const others = [
    ...backendProblems(config),
    ...observingProblems(config),
    ...exportProblems(config),
  ];
  if (others.length > 0) throw new ConfigError(others);
  if (jwtOldKeyFile !== undefined && jwtKeyFile === undefined)
    throw new ConfigError([
      "HYPERVISOR_JWT_KEY_FILE: is required when HYPERVISOR_JWT_OLD_KEY_FILE is set",
    ]);
  if (apiToken !== undefined && Buffer.byteLength(apiToken.reveal()) < TOKEN_BYTES_MIN) {
    throw new ConfigError([`HYPERVISOR_API_TOKEN: must have ${TOKEN_BYTES_MIN} bytes or more`]);
  }
  return config;
}
