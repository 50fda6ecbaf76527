import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { readHypervisorConfig, startHypervisor } from "../../hypervisor/main.ts";
import type { RunningService } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { FOLDER_VARIABLE } from "../../ops/test/workspace.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";
import { fromRun } from "../servers/unprivileged.ts";
import { rowsOf, type Row } from "./frame/given.ts";

export const FIRST_PASSWORD = "one horse, two carts";
export const PASSWORD = "correct horse battery";
export const STATIC_TOKEN = randomBytes(32).toString("hex");

interface Sent {
  readonly method?: string;
  /** A bearer token. */
  readonly as?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
  readonly detail: string;
}

export interface Hypervisor {
  readonly url: string;
  readonly database: Database;
  readonly databaseUrl: string;
  readonly send: (path: string, sent?: Sent) => Promise<Answer>;
  readonly login: (username: string, password?: string) => Promise<Answer>;
  /** A user with {@link PASSWORD} who need not change it, signed in. @returns the access token */
  readonly person: (
    role: string,
    more?: Readonly<Record<string, unknown>>,
  ) => Promise<{ readonly name: string; readonly token: string; readonly refresh: string }>;
  readonly rows: () => Promise<readonly Row[]>;
  readonly lastRow: () => Promise<Row | undefined>;
  readonly stop: () => Promise<void>;
}

/** The real service on a database of its own; the static token may do everything. */
export async function givenHypervisor(
  env: Readonly<Record<string, string>> = {},
): Promise<Hypervisor> {
  const own = await createTestDatabase();
  const database = openTestDatabase(own.url);
  const service = await startReplica(own.url, env);
  const url = service.url ?? "";
  const send = senderTo(url);
  const login = async (username: string, password = PASSWORD) =>
    send("/auth/token", { method: "POST", as: "", body: { username, password } });
  return {
    url,
    database,
    databaseUrl: own.url,
    send,
    login,
    person: personMaker(database, send, login),
    rows: async () => rowsOf(database),
    lastRow: async () => (await rowsOf(database)).at(-1),
    stop: async () => {
      await service.stop();
      await database.close();
      await own.drop();
    },
  };
}

/** The real service on this database; one more of it is a replica. */
export async function startReplica(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningService> {
  return startHypervisor(
    readHypervisorConfig({
      AIOPS_DATABASE_URL: databaseUrl,
      HYPERVISOR_PORT: "0",
      HYPERVISOR_API_TOKEN: STATIC_TOKEN,
      HYPERVISOR_ADMIN_PASSWORD: FIRST_PASSWORD,
      HYPERVISOR_REQUESTS_PER_MINUTE: "100000",
      HYPERVISOR_BACKEND: "memory",
      HYPERVISOR_RECORDINGS_DIR: join(fromRun(FOLDER_VARIABLE), "recordings"),
      ...env,
    }),
    silentLog,
  );
}

/** Each test's guesses are its own: the machine's address would be throttled. */
function personMaker(
  database: Database,
  send: Hypervisor["send"],
  login: Hypervisor["login"],
): Hypervisor["person"] {
  return async (role, more = {}) => {
    const name = fresh(role.toLowerCase());
    const made = await send("/api/v1/users", {
      method: "POST",
      body: { username: name, role, password: PASSWORD, ...more },
    });
    if (made.status !== 201) throw new Error(`${role} not made: ${made.detail}`);
    await database.query("UPDATE hypervisor_users SET must_change = false WHERE username = $1", [
      name,
    ]);
    const { body, detail, status } = await login(name);
    if (status !== 200) throw new Error(`${name} not signed in: ${detail}`);
    const tokens = body as { readonly access_token: string; readonly refresh_token: string };
    return { name, token: tokens.access_token, refresh: tokens.refresh_token };
  };
}

export function senderTo(url: string): Hypervisor["send"] {
  return async (path, { method = "GET", as = STATIC_TOKEN, body, headers } = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(as === "" ? {} : { authorization: `Bearer ${as}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    const json = (isJson ? JSON.parse(text) : {}) as Answer["body"];
    return {
      status: response.status,
      headers: response.headers,
      body: json,
      detail: typeof json["detail"] === "string" ? json["detail"] : "",
    };
  };
}

/** A name that no other test has. */
export function fresh(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}
