import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { measure, type PutInfo, type StoredBlob } from "../../../storage.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerOf } from "./answer.ts";
import {
  FIELDS,
  fileForm,
  filesNamed,
  MARK,
  remove,
  type Drive,
  type DriveFile,
} from "./google-drive-files.ts";
import type { Send } from "./request.ts";
import { sendChunks, type UploadSession } from "./send-chunks.ts";

/** A multiple of 256 KiB, as the protocol wants it; this much is in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Uploads and compares the hashes that Google worked out. */
export async function putFile(
  drive: Drive,
  name: string,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  const { signal, ifAbsent, lockedUntil } = info;
  if (lockedUntil !== undefined)
    throw new ServiceFailure("refused", "Google Drive cannot lock a file");
  const [there] = await filesNamed(drive, name, signal);
  if (there !== undefined && ifAbsent === true) throw new ServiceFailure("exists", "it is there");
  const md5 = createHash("md5");
  const { pieces, content } = measure(body, info, (piece) => {
    md5.update(piece);
  });
  const session = await openSession(drive, { name, replaced: there }, info);
  const { clock } = drive.options;
  const file = await sendChunks(pieces, session, { chunkBytes: CHUNK_BYTES, info, clock });
  const { bytes, sha256 } = content();
  const right =
    Number(file.size) === bytes &&
    [sha256, undefined].includes(file.sha256Checksum) &&
    [md5.digest("hex"), undefined].includes(file.md5Checksum);
  if (!right) {
    if (there === undefined) await remove(drive, file, signal);
    throw new ServiceFailure("corrupt", `the checksum of ${file.id} is not ours`);
  }
  if (there === undefined) await checkAlone(drive, file, signal);
  const byMd5 = file.md5Checksum === undefined ? "size" : "md5";
  const verifiedBy = file.sha256Checksum === undefined ? byMd5 : "sha256";
  return { bytes, sha256, etag: file.id, verifiedBy };
}

/** Somebody else may have made a file of that name in the meantime: the older one stays. */
async function checkAlone(drive: Drive, file: DriveFile, signal: AbortSignal): Promise<void> {
  const [first] = await filesNamed(drive, file.name, signal);
  if (first === undefined || first.id === file.id) return;
  await remove(drive, file, signal);
  throw new ServiceFailure("exists", `${first.id} was there first`);
}

async function openSession(
  { send, api, options }: Drive,
  file: { readonly name: string; readonly replaced: DriveFile | undefined },
  info: PutInfo,
): Promise<UploadSession<DriveFile>> {
  const { signal, contentType, metadata, expected } = info;
  const { name, replaced } = file;
  const query = `uploadType=resumable&supportsAllDrives=true&fields=${FIELDS}`;
  const opened = await send(
    `${api}/upload/drive/v3/files${replaced === undefined ? "" : `/${replaced.id}`}?${query}`,
    {
      method: replaced === undefined ? "POST" : "PATCH",
      signal,
      headers: {
        "content-type": "application/json; charset=UTF-8",
        "x-upload-content-type": contentType,
        ...(expected === undefined ? {} : { "x-upload-content-length": String(expected.bytes) }),
      },
      body: JSON.stringify({
        appProperties: { ...metadata, ...MARK },
        ...(replaced === undefined ? { name, parents: [options.folderId] } : {}),
      }),
    },
  );
  const address = opened.headers.get("location") ?? "";
  await opened.body?.cancel();
  // The token goes there too.
  if (!URL.canParse(address) || new URL(address).origin !== new URL(api).origin)
    throw new ServiceFailure("unavailable", "Google Drive named no place of its own to upload to");
  return sessionAt(address, send, signal);
}

function sessionAt(address: string, send: Send, signal: AbortSignal): UploadSession<DriveFile> {
  const put = async (range: string, body: Buffer) =>
    send(address, {
      method: "PUT",
      signal,
      headers: { "content-range": range },
      body,
      accept: [308],
      isRepeatable: false,
    });
  return {
    send: async ({ at, bytes, isLast }) => {
      const end = at + bytes.length;
      const total = isLast ? String(end) : "*";
      const range = bytes.length === 0 ? "*" : `${at}-${end - 1}`;
      const response = await put(`bytes ${range}/${total}`, bytes);
      if (response.status !== 308) return answerOf(response, fileForm);
      await response.body?.cancel();
      const has = receivedBy(response);
      if (has === end && !isLast) return undefined;
      throw new ServiceFailure("unavailable", `Google Drive has ${has} of ${end} bytes`);
    },
    progress: async () => {
      const response = await put("bytes */*", Buffer.alloc(0));
      if (response.status !== 308) return { file: await answerOf(response, fileForm) };
      await response.body?.cancel();
      return { bytes: receivedBy(response) };
    },
    cancel: async (giveUp) => {
      // 499 is how Google says that it is cancelled.
      await send(address, { method: "DELETE", signal: giveUp, accept: [404, 410, 499] });
    },
  };
}

function receivedBy({ headers }: Response): number {
  const [, last] = /^bytes=0-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
  return last === undefined ? 0 : Number(last) + 1;
}
