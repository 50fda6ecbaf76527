import { addAbortSignal, Readable } from "node:stream";
import { z } from "zod";
import {
  measure,
  StorageError,
  type BlobEntry,
  type BlobStore,
  type PutInfo,
  type StoredBlob,
} from "../../../storage.ts";
import type { DropboxOptions } from "../../../storage-drives.ts";
import { frameOf, type Frame } from "../frame.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerOf, formed } from "./answer.ts";
import { dropboxTokens } from "./dropbox-tokens.ts";
import { contentHash } from "./hashes.ts";
import { createSender, type Call, type Send } from "./request.ts";
import { sendChunks, type Chunk, type UploadSession } from "./send-chunks.ts";

/** At most 150 MB are allowed; this much is in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024;

const fileForm = z.object({
  ".tag": z.literal("file").optional(), // only where it could be a folder
  path_display: z.string(),
  rev: z.string().min(1),
  size: z.int().nonnegative(),
  content_hash: z.string().optional(),
});
type DropboxFile = z.infer<typeof fileForm>;

const entryForm = z.union([fileForm, z.object({ ".tag": z.enum(["folder", "deleted"]) })]);
const pageForm = z.object({
  entries: z.array(entryForm),
  cursor: z.string(),
  has_more: z.boolean(),
});

interface Dropbox {
  /** Questions: the argument is the body. */
  readonly ask: (route: string, argument: object, call: AskCall) => Promise<Response>;
  /** Files: the argument is a header. */
  readonly transfer: (
    route: string,
    argument: object,
    call: AskCall & Pick<Call, "body" | "isRepeatable">,
  ) => Promise<Response>;
  readonly options: DropboxOptions;
}

type AskCall = Pick<Call, "signal" | "accept">;

/** A folder of Dropbox. Each chunk goes with its hash, and Dropbox refuses another one; so does the whole file, compared here. */
export function openDropbox(options: DropboxOptions): BlobStore {
  const { folder } = options;
  const frame = frameOf({
    scheme: "dropbox",
    place: folder.slice(1),
    prefix: "",
    connect: async () => Promise.resolve(dropboxOf(options)),
  });
  const { name, nameOf, locationOf, told } = frame;
  const pathOf = (key: string) => `${folder}/${nameOf(key)}`;
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async (dropbox) => {
        const stored = await putFile(dropbox, pathOf(key), body, info);
        return { location: locationOf(key), ...stored };
      }),
    get: async (key, signal) =>
      told(`read ${key}`, async ({ transfer }) => {
        const response = transfer("files/download", { path: pathOf(key) }, { signal });
        const { body } = await response.catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
          throw new StorageError("missing", `${name}: there is no ${key}`);
        });
        return addAbortSignal(signal, Readable.from(body ?? []));
      }),
    head: async (key, signal) =>
      told(`look at ${key}`, async ({ ask }) => {
        try {
          const response = await ask("files/get_metadata", { path: pathOf(key) }, { signal });
          const { size: bytes, rev: etag } = await answerOf(response, fileForm);
          return { bytes, etag, metadata: {} };
        } catch (error) {
          if (isNotFound(error)) return undefined;
          throw error;
        }
      }),
    list: (under, signal) => entries(frame, folder, under, signal),
    delete: async (key, signal) =>
      told(`delete ${key}`, async ({ ask }) => {
        await ask("files/delete_v2", { path: pathOf(key) }, { signal }).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }),
  };
}

function dropboxOf(options: DropboxOptions): Dropbox {
  const { clock, endpoint } = options;
  const tokens = dropboxTokens(options);
  const send: Send = createSender({ service: "Dropbox", tokens, explain, clock });
  const json = (argument: object) =>
    // A header holds ASCII only.
    JSON.stringify(argument).replace(
      /[\u007f-\uffff]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  return {
    options,
    ask: async (route, argument, call) =>
      send(`${endpoint ?? "https://api.dropboxapi.com"}/2/${route}`, {
        ...call,
        method: "POST",
        headers: { "content-type": "application/json" },
        body: json(argument),
      }),
    transfer: async (route, argument, call) =>
      send(`${endpoint ?? "https://content.dropboxapi.com"}/2/${route}`, {
        ...call,
        method: "POST",
        headers: {
          "dropbox-api-arg": json(argument),
          ...(call.body === undefined ? {} : { "content-type": "application/octet-stream" }),
        },
      }),
  };
}

const failureForm = z.object({ error_summary: z.string() });

/** Everything but HTTP's own failures is a 409; the summary says what it is: "path/conflict/file/.." */
function explain(status: number, body: string) {
  const code = formed(body, failureForm)?.error_summary.replace(/[/.]*$/, "") ?? "";
  return {
    code,
    text: status === 400 ? body : "",
    kind: status === 409 ? kindOf(code) : undefined,
  };
}

function kindOf(code: string): ServiceFailure["kind"] {
  if (/(^|\/)conflict(\/|$)/.test(code)) return "exists";
  if (code.includes("content_hash_mismatch")) return "corrupt";
  // The upload session is over, or is somewhere else than we think: it begins anew.
  if (/^(lookup_failed\/)?(not_found|incorrect_offset|closed)/.test(code)) return "unavailable";
  return code.includes("too_many_write_operations") ? "unavailable" : "refused";
}

function isNotFound(error: unknown): boolean {
  return error instanceof ServiceFailure && /^path(_lookup)?\/not_found/.test(error.code);
}

async function putFile(
  dropbox: Dropbox,
  path: string,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  const { signal, lockedUntil } = info;
  if (lockedUntil !== undefined) throw new ServiceFailure("refused", "Dropbox cannot lock a file");
  const hash = contentHash();
  const { pieces, content } = measure(body, info, (piece) => {
    hash.update(piece);
  });
  const session = await openSession(dropbox, path, info);
  const { clock } = dropbox.options;
  const file = await sendChunks(pieces, session, { chunkBytes: CHUNK_BYTES, info, clock });
  const { bytes, sha256 } = content();
  if (file.size !== bytes || ![hash.digest(), undefined].includes(file.content_hash)) {
    if (info.ifAbsent === true) await undo(dropbox, file, signal);
    throw new ServiceFailure("corrupt", `the content_hash of ${path} is not ours`);
  }
  const verifiedBy = file.content_hash === undefined ? "size" : "content-hash";
  return { bytes, sha256, etag: file.rev, verifiedBy };
}

/** Of the very revision that we made. */
async function undo(
  { ask }: Dropbox,
  { path_display: path, rev }: DropboxFile,
  signal: AbortSignal,
): Promise<void> {
  await ask("files/delete_v2", { path, parent_rev: rev }, { signal, accept: [409] });
}

const sessionForm = z.object({ session_id: z.string().min(1) });

async function openSession(
  { transfer }: Dropbox,
  path: string,
  { signal, ifAbsent }: PutInfo,
): Promise<UploadSession<DropboxFile>> {
  const none = Buffer.alloc(0);
  const start = await transfer(
    "files/upload_session/start",
    { close: false },
    { signal, body: none },
  );
  const { session_id } = await answerOf(start, sessionForm);
  const commit = {
    path,
    mode: ifAbsent === true ? "add" : "overwrite",
    autorename: false,
    mute: true, // nobody's telephone rings
    strict_conflict: ifAbsent === true,
  };
  const put = async ({ at, bytes, isLast }: Chunk) => {
    const hash = contentHash();
    hash.update(bytes);
    const argument = {
      cursor: { session_id, offset: at },
      content_hash: hash.digest(),
      ...(isLast ? { commit } : { close: false }),
    };
    const route = isLast ? "files/upload_session/finish" : "files/upload_session/append_v2";
    return transfer(route, argument, { signal, body: bytes, isRepeatable: false });
  };
  return {
    send: async (chunk) => {
      const response = await put(chunk);
      if (chunk.isLast) return answerOf(response, fileForm);
      await response.body?.cancel();
      return undefined;
    },
    // There is no question for it; nothing, appended where we think that we are, gets the place in the refusal.
    progress: async ({ at }) => {
      const argument = { cursor: { session_id, offset: at }, close: false };
      const response = await transfer("files/upload_session/append_v2", argument, {
        signal,
        body: none,
        accept: [409],
      });
      if (response.status !== 409) {
        await response.body?.cancel();
        return { bytes: at };
      }
      const { error } = await answerOf(response, offsetForm);
      return { bytes: error.correct_offset };
    },
  };
}

const offsetForm = z.object({ error: z.object({ correct_offset: z.int().nonnegative() }) });

async function* entries(
  { told }: Frame<Dropbox>,
  folder: string,
  under: string,
  signal: AbortSignal,
): AsyncGenerator<BlobEntry> {
  for (let cursor: string | undefined; ;) {
    const page = await told(`list ${under}`, async ({ ask }) => {
      const response =
        cursor === undefined
          ? ask("files/list_folder", { path: folder, recursive: true }, { signal })
          : ask("files/list_folder/continue", { cursor }, { signal });
      const answer = await response.catch((error: unknown) => {
        if (isNotFound(error)) return undefined; // the first upload makes the folder
        throw error;
      });
      return answer === undefined ? undefined : answerOf(answer, pageForm);
    });
    for (const entry of page?.entries ?? []) {
      if (!("path_display" in entry)) continue;
      const key = entry.path_display.slice(folder.length + 1);
      if (key.startsWith(under)) yield { key, bytes: entry.size };
    }
    cursor = page?.cursor;
    if (page?.has_more !== true) return;
  }
}
