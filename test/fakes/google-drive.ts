import { createHash, createVerify, generateKeyPairSync, randomUUID } from "node:crypto";
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

export interface FakeGoogleDrive extends FakeDrive {
  readonly folderId: string;
  /** JSON of a service account that it knows. */
  readonly serviceAccount: string;
  /** Of a person that it knows. */
  readonly person: {
    readonly clientId: string;
    readonly clientSecret: string;
    readonly refreshToken: string;
  };
  /** For whom the last token of a service account is. */
  readonly subject: () => string | undefined;
  /** A file that somebody else puts there, the oldest of its name. */
  readonly putForeign: (name: string, content: Buffer) => void;
  /** Nobody may delete for good from now on, as in a shared drive. */
  readonly forbidDeletion: () => void;
}

interface Kept {
  readonly id: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly appProperties: Readonly<Record<string, string>>;
  readonly createdTime: string;
  readonly content: Buffer;
  readonly trashed?: boolean;
}

interface Session {
  readonly replaces: string | undefined;
  readonly told: Partial<Pick<Kept, "name" | "parents" | "appProperties">>;
  content: Buffer;
  isDone: boolean;
  file?: object;
}

interface Drive {
  readonly kept: Map<string, Kept>;
  readonly sessions: Map<string, Session>;
  readonly account: { readonly email: string; readonly publicKey: string };
  readonly person: FakeGoogleDrive["person"];
  subject: string | undefined;
  forbidsDeletion: boolean;
}

const FOLDER = "folder-0AbC_dEf";
const GRANULE = 256 * 1024;

/** Google Drive's files interface, and Google's token server; it checks signatures, scopes, tokens, ranges and granules. */
export async function startGoogleDrive(): Promise<FakeGoogleDrive> {
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const email = "exporter@project.iam.gserviceaccount.com";
  const state = newState();
  const drive: Drive = {
    kept: new Map(),
    sessions: new Map(),
    account: { email, publicKey: pem(keys.publicKey.export({ type: "spki", format: "pem" })) },
    person: {
      clientId: "client.apps.googleusercontent.com",
      clientSecret: `GOCSPX-${randomUUID()}`,
      refreshToken: `1//${randomUUID()}`,
    },
    subject: undefined,
    forbidsDeletion: false,
  };
  const { kept, sessions, person } = drive;
  const server = await startCloudServer(state, {
    answer: (received) => answer(received, state, drive),
    cut: ({ url, headers, body }) => {
      const session = sessions.get(url.searchParams.get("upload_id") ?? "");
      if (session === undefined || !fits(headers["content-range"], session)) return;
      const whole = body.length - (body.length % GRANULE);
      session.content = Buffer.concat([session.content, body.subarray(0, whole)]);
    },
    refusal,
    isForTokens: (path) => path === "/token",
  });
  const shownFiles = () => [...kept.values()].filter(({ trashed }) => trashed !== true);
  return {
    ...driveOf(state, {
      ...server,
      files: () => new Map(shownFiles().map(({ name, content }) => [name, content])),
      openUploads: () => [...sessions.values()].filter(({ isDone }) => !isDone).length,
    }),
    folderId: FOLDER,
    serviceAccount: JSON.stringify({
      type: "service_account",
      client_email: email,
      private_key: keys.privateKey.export({ type: "pkcs8", format: "pem" }),
      private_key_id: "k1",
      project_id: "project",
    }),
    person,
    subject: () => drive.subject,
    putForeign: (name, content) => {
      const id = `foreign-${kept.size}`;
      const createdTime = "2020-01-01T00:00:00.000Z";
      kept.set(id, { id, name, parents: [FOLDER], appProperties: {}, createdTime, content });
    },
    forbidDeletion: () => {
      drive.forbidsDeletion = true;
    },
  };
}

function pem(key: string | Buffer): string {
  return key.toString();
}

function refusal(status: number, reason: string): Reply {
  const error = { code: status, message: `Sorry: ${reason}`, errors: [{ reason }] };
  return { status, body: { error } };
}

function answer(received: Received, state: CloudState, drive: Drive): Reply {
  const { url } = received;
  if (url.pathname === "/token") return token(received, state, drive);
  // Whoever is refused hears his own token: it must come into no message.
  if (!isAuthorized(received, state))
    return refusal(401, `authError ${received.headers.authorization ?? ""}`);
  if (url.searchParams.has("upload_id")) return receive(received, state, drive);
  if (url.searchParams.get("supportsAllDrives") !== "true") return refusal(404, "notFound");
  if (url.pathname.startsWith("/upload/drive/v3/files")) return open(received, drive);
  const [, id = ""] = /^\/drive\/v3\/files\/?([^/]*)$/.exec(url.pathname) ?? [];
  if (id === "") return list(url, state, drive);
  const file = drive.kept.get(id);
  if (file === undefined || file.trashed === true) return refusal(404, "notFound");
  return act(received, file, state, drive);
}

function act({ method, body }: Received, file: Kept, state: CloudState, drive: Drive): Reply {
  if (method === "DELETE" && drive.forbidsDeletion)
    return refusal(403, "insufficientFilePermissions");
  if (method === "DELETE") {
    drive.kept.delete(file.id);
    return { status: 204 };
  }
  if (method === "PATCH") {
    drive.kept.set(file.id, { ...file, ...(JSON.parse(body.toString()) as object) });
    return { status: 200, body: shown(file, state) };
  }
  return { status: 200, body: file.content };
}

function token({ body }: Received, state: CloudState, drive: Drive): Reply {
  const form = new URLSearchParams(body.toString());
  const isGood =
    form.get("grant_type") === "refresh_token"
      ? form.get("refresh_token") === drive.person.refreshToken &&
        form.get("client_id") === drive.person.clientId &&
        form.get("client_secret") === drive.person.clientSecret
      : form.get("grant_type") === "urn:ietf:params:oauth:grant-type:jwt-bearer" &&
        isAsserted(form.get("assertion") ?? "", drive);
  if (!isGood) return { status: 400, body: { error: "invalid_grant", error_description: "No." } };
  return {
    status: 200,
    body: { access_token: giveToken(state), expires_in: 3599, token_type: "Bearer" },
  };
}

/** RFC 7523: signed by the account's key, for this audience, for this scope, not yet over. */
function isAsserted(assertion: string, drive: Drive): boolean {
  const [head = "", claims = "", signature = ""] = assertion.split(".");
  const { account } = drive;
  const verify = createVerify("RSA-SHA256").update(`${head}.${claims}`);
  if (!verify.verify(account.publicKey, Buffer.from(signature, "base64url"))) return false;
  const told = JSON.parse(Buffer.from(claims, "base64url").toString()) as Record<string, unknown>;
  drive.subject = told["sub"] as string | undefined;
  return (
    told["iss"] === account.email &&
    told["aud"] === "https://oauth2.googleapis.com/token" &&
    told["scope"] === "https://www.googleapis.com/auth/drive" &&
    Number(told["exp"]) > Date.now() / 1000
  );
}

function open({ method, url, headers, body, origin }: Received, drive: Drive): Reply {
  const told = JSON.parse(body.toString()) as Session["told"];
  const [, id] = /\/files\/([^/]+)$/.exec(url.pathname) ?? [];
  const isNew = method === "POST" && id === undefined;
  if (isNew && told.parents?.[0] !== FOLDER) return refusal(404, "notFound");
  if (headers["x-upload-content-type"] === undefined) return refusal(400, "badRequest");
  const session = randomUUID();
  drive.sessions.set(session, { replaces: id, told, content: Buffer.alloc(0), isDone: false });
  return { status: 200, headers: { location: `${origin}${url.pathname}?upload_id=${session}` } };
}

/** A chunk begins where the one before ended; all but the last are whole granules. */
function receive(received: Received, state: CloudState, drive: Drive): Reply {
  const { method, url } = received;
  const session = drive.sessions.get(url.searchParams.get("upload_id") ?? "");
  if (session === undefined) return refusal(404, "notFound");
  if (method === "DELETE") {
    session.isDone = true;
    return { status: 499 };
  }
  return take(received, session, () => {
    finish(session, state, drive);
  });
}

function take({ headers, body }: Received, session: Session, finished: () => void): Reply {
  const range = headers["content-range"] ?? "";
  if (range === "bytes */*") return session.file === undefined ? more(session) : done(session);
  if (!fits(range, session)) return refusal(400, "badRange");
  const [, total = "*"] = range.split("/");
  if (total === "*" && body.length % GRANULE !== 0) return refusal(400, "badGranule");
  session.content = Buffer.concat([session.content, body]);
  if (total === "*" || session.content.length < Number(total)) return more(session);
  finished();
  return done(session);
}

function finish(session: Session, state: CloudState, { kept }: Drive): void {
  const { name = "", parents = [], appProperties = {} } = session.told;
  const created = {
    id: `id-${randomUUID()}`,
    name,
    parents,
    createdTime: new Date().toISOString(),
  };
  const before = kept.get(session.replaces ?? "") ?? created;
  const file = { ...before, appProperties, content: arrived(session.content, state) };
  kept.set(file.id, file);
  session.isDone = true;
  session.file = shown(file, state);
}

function fits(range = "", { content }: Session): boolean {
  const [, start] = /^bytes (\d+)-/.exec(range) ?? [];
  return start === undefined ? /^bytes \*\/\d+$/.test(range) : Number(start) === content.length;
}

function more({ content }: Session): Reply {
  const headers: Record<string, string> =
    content.length === 0 ? {} : { range: `bytes=0-${content.length - 1}` };
  return { status: 308, headers };
}

function done({ file = {} }: Session): Reply {
  return { status: 200, body: file };
}

/** Few on a page, so that the next page is asked for. */
const PAGE = 3;

function list({ searchParams: query }: URL, state: CloudState, { kept }: Drive): Reply {
  const said = query.get("q") ?? "";
  const [, name] = /name = '([^']*)'/.exec(said) ?? [];
  const [, folder] = /'([^']*)' in parents/.exec(said) ?? [];
  if (folder !== FOLDER) return refusal(404, "notFound");
  const found = [...kept.values()].filter(
    (file) => file.trashed !== true && (name === undefined || file.name === name),
  );
  const start = Number(query.get("pageToken") ?? 0);
  const files = found.slice(start, start + PAGE).map((file) => shown(file, state));
  const next = start + PAGE < found.length ? { nextPageToken: String(start + PAGE) } : {};
  return { status: 200, body: { files, ...next } };
}

function shown({ id, name, content, appProperties, createdTime }: Kept, { fault }: CloudState) {
  const hash = (algorithm: string) => createHash(algorithm).update(content).digest("hex");
  const hashes =
    fault.kind === "hashless" ? {} : { md5Checksum: hash("md5"), sha256Checksum: hash("sha256") };
  return { id, name, size: String(content.length), createdTime, appProperties, ...hashes };
}
