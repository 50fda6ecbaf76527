import {
  ConfigError,
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
  dataPath: withDefault("HYPERVISOR_DATA_PATH", text, "/", "whose disk the metrics measure"),
} as const;

export type HypervisorConfig = Config<typeof shape>;

/** Shorter tokens can be guessed; `openssl rand -hex 32` makes a good one. */
const TOKEN_BYTES_MIN = 32;

/** @throws ConfigError listing all problems */
export function readHypervisorConfig(env: Environment): HypervisorConfig {
  const config = readConfig(shape, env);
  const { apiToken } = config;
  if (apiToken !== undefined && Buffer.byteLength(apiToken.reveal()) < TOKEN_BYTES_MIN) {
    throw new ConfigError([`HYPERVISOR_API_TOKEN: must have ${TOKEN_BYTES_MIN} bytes or more`]);
  }
  return config;
}
