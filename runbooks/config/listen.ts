import { optional, port, postgresUrl, required, text, url, withDefault } from "../../lib/config.ts";

export const listenVariables = {
  host: withDefault(
    "RUNBOOKS_HOST",
    text,
    "127.0.0.1",
    "address to listen on; 0.0.0.0 in a container",
  ),
  port: withDefault("RUNBOOKS_PORT", port, 8080, "port of the webhook and the approval page"),
  publicUrl: optional("RUNBOOKS_URL", url, "address under which people reach the approval page"),
  databaseUrl: required(
    "AIOPS_DATABASE_URL",
    postgresUrl,
    "PostgreSQL address of Fettle's database",
  ),
} as const;
