import { createHash, randomUUID } from "node:crypto";
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

export interface FakeDropbox extends FakeDrive {
  readonly appKey: string;
  readonly appSecret: string;
  readonly refreshToken: string;
  /** One that is given without being asked for. */
  readonly accessToken: () => string;
}

interface Kept {
  readonly path: string;
  readonly rev: string;
  readonly content: Buffer;
}

interface Dropbox {
  /** By the path in lower case, as Dropbox does not tell cases apart. */
  readonly kept: Map<string, Kept>;
  readonly sessions: Map<string, Buffer>;
  readonly app: Pick<FakeDropbox, "appKey" | "appSecret" | "refreshToken">;
}

const CONTENT_MAX = 150 * 1024 * 1024;

/** Dropbox' interface 2 as far as it is used; it checks tokens, offsets, conflicts and the content_hash of each request. */
export async function startDropbox(): Promise<FakeDropbox> {
  const state = newState();
  const dropbox: Dropbox = {
    kept: new Map(),
    sessions: new Map(),
    app: { appKey: "k3y", appSecret: `s-${randomUUID()}`, refreshToken: `r-${randomUUID()}` },
  };
  const server = await startCloudServer(state, {
    answer: (received) => answer(received, state, dropbox),
    refusal: (status, code) => ({ status, body: { error_summary: `${code}/...` } }),
    isForTokens: (path) => path === "/oauth2/token",
  });
  return {
    ...driveOf(state, {
      ...server,
      files: () => new Map([...dropbox.kept.values()].map(({ path, content }) => [path, content])),
      openUploads: () => 0, // Dropbox knows no cancelling: sessions end by themselves
    }),
    ...dropbox.app,
    accessToken: () => giveToken(state),
  };
}

function conflict(summary: string, error: object = {}): Reply {
  return { status: 409, body: { error_summary: `${summary}/..`, error } };
}

interface Argument {
  readonly path?: string;
  readonly cursor?: string | { readonly session_id: string; readonly offset: number };
  readonly content_hash?: string;
  readonly parent_rev?: string;
  readonly commit?: Commit;
}

interface Commit {
  readonly path: string;
  readonly mode: string;
  readonly autorename: boolean;
  readonly strict_conflict: boolean;
}

function answer(received: Received, state: CloudState, dropbox: Dropbox): Reply {
  const { url, headers, body } = received;
  if (url.pathname === "/oauth2/token") return token(body, state, dropbox);
  // Whoever is refused hears his own token: it must come into no message.
  if (!isAuthorized(received, state))
    return {
      status: 401,
      body: { error_summary: `expired_access_token ${headers.authorization ?? ""}/` },
    };
  const said = headers["dropbox-api-arg"];
  const argument = JSON.parse(said === undefined ? body.toString() : String(said)) as Argument;
  const route = url.pathname.slice("/2/files/".length);
  if (route.startsWith("upload_session/"))
    return upload(route, { argument, body: arrived(body, state) }, state, dropbox);
  return act(route, argument, state, dropbox);
}

function token(body: Buffer, state: CloudState, { app }: Dropbox): Reply {
  const form = new URLSearchParams(body.toString());
  const isGood =
    form.get("grant_type") === "refresh_token" &&
    form.get("refresh_token") === app.refreshToken &&
    form.get("client_id") === app.appKey &&
    form.get("client_secret") === app.appSecret;
  if (!isGood)
    return {
      status: 400,
      body: { error: "invalid_grant", error_description: "refresh token is invalid or revoked" },
    };
  return {
    status: 200,
    body: { access_token: giveToken(state), expires_in: 14_400, token_type: "bearer" },
  };
}

function upload(
  route: string,
  { argument, body }: { readonly argument: Argument; readonly body: Buffer },
  state: CloudState,
  { kept, sessions }: Dropbox,
): Reply {
  const { content_hash: told } = argument;
  if (body.length > CONTENT_MAX) return { status: 400, body: {} };
  if (told !== undefined && told !== contentHash(body)) return conflict("content_hash_mismatch");
  if (route === "upload_session/start") return start(body, sessions);
  return append(argument, body, state, { kept, sessions });
}

function start(body: Buffer, sessions: Dropbox["sessions"]): Reply {
  const session_id = `pid_upload_session:${randomUUID()}`;
  sessions.set(session_id, body);
  return { status: 200, body: { session_id } };
}

function append(
  { cursor, commit }: Argument,
  body: Buffer,
  state: CloudState,
  { kept, sessions }: Pick<Dropbox, "kept" | "sessions">,
): Reply {
  const { session_id = "", offset = -1 } = typeof cursor === "object" ? cursor : {};
  const before = sessions.get(session_id);
  const lookup = commit === undefined ? "" : "lookup_failed/";
  if (before === undefined) return conflict(`${lookup}not_found`, { ".tag": "not_found" });
  if (before.length !== offset)
    return conflict(`${lookup}incorrect_offset`, {
      ".tag": "incorrect_offset",
      correct_offset: before.length,
    });
  const content = Buffer.concat([before, body]);
  if (commit !== undefined) sessions.delete(session_id);
  else sessions.set(session_id, content);
  return commit === undefined ? { status: 200 } : finish(commit, content, state, kept);
}

function finish(commit: Commit, content: Buffer, state: CloudState, kept: Dropbox["kept"]): Reply {
  const held = kept.get(commit.path.toLowerCase());
  if (held !== undefined && commit.mode === "add" && commit.strict_conflict && !commit.autorename)
    return conflict("path/conflict/file");
  const file = { path: commit.path, rev: randomUUID().slice(0, 9), content };
  kept.set(commit.path.toLowerCase(), file);
  return { status: 200, body: shown(file, state) };
}

function act(route: string, argument: Argument, state: CloudState, dropbox: Dropbox): Reply {
  const { path = "", cursor } = argument;
  if (route === "list_folder") return list(path, 0, state, dropbox);
  if (route === "list_folder/continue" && typeof cursor === "string") {
    const [from = "", folder = ""] = cursor.split("|");
    return list(folder, Number(from), state, dropbox);
  }
  const held = dropbox.kept.get(path.toLowerCase());
  if (held === undefined)
    return conflict(`${route === "delete_v2" ? "path_lookup" : "path"}/not_found`);
  return actOn(held, route, { argument, state, dropbox });
}

function actOn(
  held: Kept,
  route: string,
  scene: {
    readonly argument: Argument;
    readonly state: CloudState;
    readonly dropbox: Dropbox;
  },
): Reply {
  const { argument, state, dropbox } = scene;
  switch (route) {
    case "get_metadata":
      return { status: 200, body: { ".tag": "file", ...shown(held, state) } };
    case "download":
      return { status: 200, body: held.content };
    case "delete_v2":
      if (![held.rev, undefined].includes(argument.parent_rev))
        return conflict("path_write/conflict/file");
      dropbox.kept.delete(held.path.toLowerCase());
      return { status: 200, body: { metadata: shown(held, state) } };
    default:
      return { status: 400, body: Buffer.from(`Unknown route ${route}`) };
  }
}

/** Few on a page, so that the next page is asked for. */
const PAGE = 3;

function list(folder: string, start: number, state: CloudState, { kept }: Dropbox): Reply {
  const found = [...kept.values()].filter(({ path }) => path.startsWith(`${folder}/`));
  if (found.length === 0 && folder !== "") return conflict("path/not_found");
  const page = found.slice(start, start + PAGE);
  const entries = [
    ...(start === 0 ? [{ ".tag": "folder", path_display: folder }] : []),
    ...page.map((file) => ({ ".tag": "file", ...shown(file, state) })),
  ];
  const end = start + PAGE;
  return {
    status: 200,
    body: { entries, cursor: `${end}|${folder}`, has_more: end < found.length },
  };
}

function shown({ path, rev, content }: Kept, { fault }: CloudState) {
  const hash = fault.kind === "hashless" ? {} : { content_hash: contentHash(content) };
  return { name: path.split("/").at(-1), path_display: path, rev, size: content.length, ...hash };
}

/** As Dropbox describes it; on the whole, where the exporter works in pieces. */
function contentHash(content: Buffer): string {
  const blocks: Buffer[] = [];
  for (let at = 0; at < content.length; at += 4_194_304)
    blocks.push(
      createHash("sha256")
        .update(content.subarray(at, at + 4_194_304))
        .digest(),
    );
  return createHash("sha256").update(Buffer.concat(blocks)).digest("hex");
}
