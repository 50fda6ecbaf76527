import { randomUUID } from "node:crypto";
import {
  arrived,
  driveOf,
  giveToken,
  isAuthorized,
  newState,
  startCloudServer,
  type CloudState,
  type FakeDrive,
  type Received,
  type Reply,
} from "./cloud-server.ts";

export interface FakeGraph extends FakeDrive {
  /** The login server, by TLS, as MSAL wants it. */
  readonly authorityHost: string;
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** As in `/users/audit@example.com/drive`. */
  readonly drives: readonly string[];
}

interface Kept {
  readonly id: string;
  readonly eTag: string;
  readonly content: Buffer;
}

interface Session {
  readonly path: string;
  readonly behavior: string;
  content: Buffer;
}

interface Graph {
  /** By drive and path. */
  readonly kept: Map<string, Kept>;
  readonly sessions: Map<string, Session>;
}

const DRIVES = [
  "/users/audit@example.com/drive",
  "/sites/example.sharepoint.com:/sites/audit:/drive",
  "/drives/b!1234",
];
const TENANT = "11111111-2222-3333-4444-555555555555";
const GRANULE = 320 * 1024;

/** Microsoft Graph's drives, and Entra's token server; it checks tokens, ranges, granules, and that no token goes to upload addresses. */
export async function startGraph(tls: {
  readonly key: string;
  readonly cert: string;
}): Promise<FakeGraph> {
  const state = newState();
  const graph: Graph = { kept: new Map(), sessions: new Map() };
  const app = { clientId: randomUUID(), clientSecret: `s~${randomUUID()}` };
  const server = await startCloudServer(state, {
    answer: (received) => answer(received, state, graph),
    refusal,
    isForTokens: () => false,
  });
  const login = await startCloudServer(state, {
    answer: (received) => entra(received, state, app),
    refusal,
    isForTokens: () => true,
    tls,
  });
  return {
    ...driveOf(state, {
      url: server.url,
      files: () => new Map([...graph.kept].map(([path, { content }]) => [path, content])),
      openUploads: () => graph.sessions.size,
      stop: async () => {
        await server.stop();
        await login.stop();
      },
    }),
    ...app,
    authorityHost: login.url,
    tenantId: TENANT,
    drives: DRIVES,
  };
}

function refusal(status: number, code: string): Reply {
  return { status, body: { error: { code, message: `Sorry: ${code}` } } };
}

function entra(
  { url, headers, body }: Received,
  state: CloudState,
  app: Pick<FakeGraph, "clientId" | "clientSecret">,
): Reply {
  const base = `https://${headers.host ?? ""}/${TENANT}`;
  if (url.pathname === `/${TENANT}/v2.0/.well-known/openid-configuration`)
    return {
      status: 200,
      body: {
        token_endpoint: `${base}/oauth2/v2.0/token`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        issuer: `${base}/v2.0`,
        jwks_uri: `${base}/discovery/v2.0/keys`,
      },
    };
  const form = new URLSearchParams(body.toString());
  const isGood =
    url.pathname === `/${TENANT}/oauth2/v2.0/token` &&
    form.get("grant_type") === "client_credentials" &&
    form.get("client_id") === app.clientId &&
    form.get("client_secret") === app.clientSecret &&
    (form.get("scope") ?? "").split(" ").some((scope) => scope.endsWith("/.default"));
  if (isGood)
    return {
      status: 200,
      body: { access_token: giveToken(state), expires_in: 3599, token_type: "Bearer" },
    };
  const error_description = `AADSTS7000215: Invalid client secret provided: ${form.get("client_secret") ?? ""}.`;
  return { status: 401, body: { error: "invalid_client", error_description } };
}

function answer(received: Received, state: CloudState, graph: Graph): Reply {
  const { url } = received;
  const [, kind, id = ""] = /^\/(up|down)\/(.+)$/.exec(url.pathname) ?? [];
  if (kind !== undefined && received.headers.authorization !== undefined)
    return refusal(401, "unauthenticated");
  if (kind === "up") return receive(received, decodeURIComponent(id), state, graph);
  if (kind === "down")
    return { status: 200, body: graph.kept.get(decodeURIComponent(id))?.content ?? null };
  // Whoever is refused hears his own token: it must come into no message.
  if (!isAuthorized(received, state))
    return refusal(401, `InvalidAuthenticationToken ${received.headers.authorization ?? ""}`);
  const path = decodeURIComponent(url.pathname);
  const drive = DRIVES.find((each) => path.startsWith(`/v1.0${each}/`));
  if (drive === undefined) return refusal(404, "itemNotFound");
  return act(received, path.slice(`/v1.0${drive}`.length), { drive, state, graph });
}

interface Scene {
  readonly drive: string;
  readonly state: CloudState;
  readonly graph: Graph;
}

function act(received: Received, address: string, scene: Scene): Reply {
  const { drive, state, graph } = scene;
  const { place, action } = placeAt(address, drive, graph);
  if (action === "createUploadSession") return open(received, place, graph);
  if (action === "children") return children(received, place, graph);
  if (action === "content" && received.method === "PUT") {
    const behavior = received.url.searchParams.get("@microsoft.graph.conflictBehavior") ?? "";
    return finish({ path: place, behavior, content: received.body }, state, graph);
  }
  const location = `${received.origin}/down/${encodeURIComponent(place)}`;
  const held = graph.kept.get(place);
  if (held === undefined) return refusal(404, "itemNotFound");
  return action === "content"
    ? { status: 302, headers: { location } }
    : actOnItem(received, { place, held }, scene);
}

function actOnItem(
  received: Received,
  { place, held }: { readonly place: string; readonly held: Kept },
  { state, graph }: Scene,
): Reply {
  if (received.method !== "DELETE") return { status: 200, body: shown(held, state) };
  if (![held.eTag, undefined].includes(received.headers["if-match"]))
    return refusal(412, "resourceModified");
  graph.kept.delete(place);
  return { status: 204 };
}

function placeAt(address: string, drive: string, graph: Graph) {
  const [, byId] = /^\/items\/(.+)$/.exec(address) ?? [];
  if (byId !== undefined) return { place: placeOf(byId, graph), action: "" };
  const [, path = "", action = ""] =
    /^\/root(?::\/(.*?))?(?::?\/(children|content|createUploadSession))?$/.exec(address) ?? [];
  return { place: `${drive}/${path}`, action };
}

function placeOf(id: string, { kept }: Graph): string {
  return [...kept].find(([, held]) => held.id === id)?.[0] ?? "";
}

function open({ body, origin }: Received, path: string, { kept, sessions }: Graph): Reply {
  const told = JSON.parse(body.toString()) as { item: Record<string, string> };
  const behavior = told.item["@microsoft.graph.conflictBehavior"] ?? "fail";
  if (behavior === "fail" && kept.has(path)) return refusal(409, "nameAlreadyExists");
  const id = randomUUID();
  sessions.set(id, { path, behavior, content: Buffer.alloc(0) });
  const uploadUrl = `${origin}/up/${id}?tempauth=secret-${id}`;
  return { status: 200, body: { uploadUrl, expirationDateTime: "2030-01-01T00:00:00Z" } };
}

/** Each chunk names the length of the whole; all but the last are multiples of 320 KiB. */
function receive(received: Received, id: string, state: CloudState, graph: Graph): Reply {
  const { method, url, headers, body } = received;
  const session = graph.sessions.get(id);
  if (session === undefined || url.searchParams.get("tempauth") !== `secret-${id}`)
    return refusal(404, "itemNotFound");
  const next = () => ({ nextExpectedRanges: [`${session.content.length}-`] });
  if (method === "GET") return { status: 200, body: next() };
  if (method === "DELETE") {
    graph.sessions.delete(id);
    return { status: 204 };
  }
  const [, start, end, total] =
    /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "") ?? [];
  if (Number(start) !== session.content.length) return refusal(416, "invalidRange");
  const isLast = Number(end) + 1 === Number(total);
  if (Number(end) + 1 - Number(start) !== body.length) return refusal(400, "invalidRequest");
  if (!isLast && body.length % GRANULE !== 0) return refusal(400, "fragmentSize");
  session.content = Buffer.concat([session.content, body]);
  if (!isLast) return { status: 202, body: next() };
  graph.sessions.delete(id);
  return finish(session, state, graph);
}

function finish({ path, behavior, content }: Session, state: CloudState, graph: Graph): Reply {
  const held = graph.kept.get(path);
  if (behavior === "fail" && held !== undefined) return refusal(409, "nameAlreadyExists");
  const id = held?.id ?? `01${randomUUID()}`;
  const file = { id, eTag: `"{${randomUUID()}},1"`, content: arrived(content, state) };
  graph.kept.set(path, file);
  // Hashes are not worked out at once: the item shows them a moment later.
  return { status: 201, body: { id, size: content.length, eTag: file.eTag, file: {} } };
}

/** Few on a page, so that the next page is asked for. */
const PAGE = 3;

function children({ url, origin }: Received, folder: string, { kept }: Graph): Reply {
  const start = folder.endsWith("/") ? folder : `${folder}/`;
  const names = new Map<string, object>();
  for (const [path, { content }] of kept) {
    if (!path.startsWith(start)) continue;
    const [name = "", ...below] = path.slice(start.length).split("/");
    names.set(
      name,
      below.length > 0
        ? { name, size: 0, folder: { childCount: 1 } }
        : { name, size: content.length },
    );
  }
  if (names.size === 0) return refusal(404, "itemNotFound");
  const from = Number(url.searchParams.get("$skiptoken") ?? 0);
  const value = [...names.values()].slice(from, from + PAGE);
  const next = `${origin}${url.pathname}?$skiptoken=${from + PAGE}`;
  const more = from + PAGE < names.size ? { "@odata.nextLink": next } : {};
  return { status: 200, body: { value, ...more } };
}

function shown({ id, eTag, content }: Kept, { fault }: CloudState) {
  const hashes = fault.kind === "hashless" ? {} : { quickXorHash: quickXor(content) };
  return { id, eTag, size: content.length, file: { hashes } };
}

/** Byte by byte, as Microsoft describes it. */
export function quickXor(content: Buffer): string {
  const register = new Uint8Array(21); // one more for what is shifted out of the last
  const xor = (at: number, value: number) => {
    register[at] = (register[at] ?? 0) ^ value;
  };
  content.forEach((byte, at) => {
    const place = (at * 11) % 160;
    const spread = byte << (place & 7);
    xor(place >> 3, spread & 0xff);
    xor((place >> 3) + 1, spread >> 8);
  });
  xor(0, register[20] ?? 0);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(content.length));
  size.forEach((byte, at) => {
    xor(12 + at, byte);
  });
  return Buffer.from(register.subarray(0, 20)).toString("base64");
}
