import { writeFile } from "node:fs/promises";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { ROLES } from "../../hypervisor/permissions.ts";
import { startLoki } from "../fakes/loki.ts";
import { localKeyFile, tempFolder } from "../exporter/given.ts";
import { finished } from "./finished.ts";
import { givenHypervisor, type Hypervisor } from "./given.ts";
import { SIDES, SNAPSHOT, type Ids, type Side } from "./matrix-objects.ts";

/** Of an organization, with every permission that there is. */
export const TENANT_WITH_ALL = "tenant*";

export interface Caller {
  /** The column. */
  readonly role: string;
  readonly side: Side;
  readonly confined: boolean;
  readonly token: string;
}

export interface World {
  readonly api: Hypervisor;
  readonly callers: readonly Caller[];
  /** Who was disabled, and who has signed out. */
  readonly outcasts: readonly string[];
  readonly ids: Ids;
  readonly stop: () => Promise<void>;
}

/** Two organizations that have the same things under other names, and people of all roles. */
export async function givenTwoOrganizations(): Promise<World> {
  const loki = await startLoki();
  const folder = await tempFolder();
  const api = await givenHypervisor({
    LOKI_URL: loki.url,
    HYPERVISOR_RECORDINGS_DIR: folder.path,
    HYPERVISOR_EXPORT_DIR: join(folder.path, "out"),
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(folder.path),
  });
  const ids = new Map<string, string>();
  await makeShared(api);
  for (const side of SIDES) await makeThings(api, side, { ids, folder: folder.path });
  const [disabled, signedOut] = [await api.person("Admin"), await api.person("Admin")];
  await api.send(`/api/v1/users/${disabled.name}`, { method: "PUT", body: { enabled: false } });
  await api.send("/auth/logout", { method: "POST", as: signedOut.token });
  return {
    api,
    ids,
    callers: await callersOf(api),
    outcasts: [disabled.token, signedOut.token],
    stop: async () => {
      await api.stop();
      await loki.stop();
      await folder.remove();
    },
  };
}

async function callersOf(api: Hypervisor): Promise<readonly Caller[]> {
  const callers: Caller[] = [];
  for (const [role, { confined = false }] of Object.entries(ROLES))
    for (const side of confined ? SIDES : SIDES.slice(0, 1)) {
      const { token } = await api.person(role, { organization: confined ? side : null });
      callers.push({ role, side, confined, token });
    }
  for (const side of SIDES) {
    const rights = { permissions: ["*"], organization: side };
    const { token } = await api.person("Custom", rights);
    callers.push({ role: TENANT_WITH_ALL, side, confined: true, token });
  }
  return callers;
}

async function make(api: Hypervisor, path: string, body: object, method = "POST") {
  const answer = await api.send(path, { method, body });
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.detail}`);
  return answer;
}

async function makeShared(api: Hypervisor): Promise<void> {
  await make(api, "/api/v1/storage/pools", { name: "spare", driver: "dir" });
  await make(api, "/api/v1/network/bridges", { name: "brspare" });
  await make(api, "/api/v1/roles", { name: "Watcher", permissions: ["logs:read"] });
  await make(api, "/api/v1/templates", { name: "small", spec: { image: "debian:12" } });
}

interface Made {
  readonly ids: Map<string, string>;
  readonly folder: string;
}

async function makeThings(api: Hypervisor, side: Side, { ids, folder }: Made): Promise<void> {
  const project = `${side}-p`;
  const where = `?project=${project}`;
  await make(api, "/api/v1/organizations", { id: side, name: side });
  const vdc = { id: `${side}-vdc`, organization: side, name: side, project };
  await make(api, "/api/v1/vdcs", vdc);
  const container = { name: `${side}-web`, image: "debian:12" };
  await finished(api, await make(api, `/api/v1/containers${where}`, container));
  const web = `/api/v1/containers/${side}-web`;
  await finished(api, await make(api, `${web}/snapshots${where}`, { name: SNAPSHOT(side) }));
  await make(api, `${web}/action${where}`, { action: "start" });
  const nightly = { name: `${side}-nightly`, cron: "0 2 * * *", time_zone: "UTC" };
  await make(api, `${web}/schedules${where}`, { ...nightly, keep: { last: 1 } });
  const volume = { name: `${side}-volume`, pool: "default", size_bytes: 2 ** 20 };
  await make(api, `/api/v1/storage/volumes${where}`, volume);
  const member = {
    username: `${side}-member`,
    role: "OrgUser",
    organization: side,
    password: null,
  };
  await make(api, "/api/v1/users", member);
  const token = { name: "ci", owner: `${side}-member`, permissions: [] };
  ids.set(`${side}-token`, String((await make(api, "/api/v1/tokens", token)).body["id"]));
  const admin = await api.person("OrgAdmin", { organization: side });
  const flow = { workflow_id: `${side}-flow`, percent_complete: 1 };
  await api.send("/progress/update", { method: "POST", body: flow, as: admin.token });
  await writeFile(join(folder, `term_${side}.cast`), "{}\n");
  const facts = JSON.stringify({
    ...{
      resource_type: "container",
      resource_id: `${side}-web`,
      facts: { session: `term_${side}` },
    },
  });
  await api.database.query(
    "INSERT INTO runbooks_audit (event, actor, namespace, target, detail) VALUES ('TerminalOpened', 'x', $1, 'x', $2)",
    [side, facts],
  );
}

export interface Seen {
  readonly status: number;
  readonly text: string;
}

/** Opens a WebSocket, and hangs up at once. @returns 101, or the refusal */
export async function openSocket(
  url: string,
  path: string,
  { token, id }: { readonly token: string; readonly id: string },
): Promise<Seen> {
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": Buffer.alloc(16).toString("base64"),
    "x-correlation-id": id,
    ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${path}`, { headers });
    const check = ({ headers: { "x-correlation-id": told } }: IncomingMessage): void => {
      if (told !== id) reject(new Error(`${path}: answered as ${String(told)}`));
    };
    asked.once("upgrade", (answer, socket) => {
      socket.destroy();
      check(answer);
      resolve({ status: 101, text: "" });
    });
    asked.once("response", (answer) => {
      check(answer);
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.once("end", () => {
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() });
      });
    });
    asked.once("error", reject);
    asked.end();
  });
}
