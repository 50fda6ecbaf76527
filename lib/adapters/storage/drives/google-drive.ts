import { addAbortSignal, Readable } from "node:stream";
import { z } from "zod";
import { checkKey, StorageError, type BlobEntry, type BlobStore } from "../../../storage.ts";
import type { GoogleDriveOptions } from "../../../storage-drives.ts";
import { frameOf, type Frame } from "../frame.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { formed } from "./answer.ts";
import { filesNamed, MARK, page, remove, type Drive } from "./google-drive-files.ts";
import { putFile } from "./google-drive-upload.ts";
import { googleTokens } from "./google-tokens.ts";
import { createSender } from "./request.ts";

const PAGE = 1_000;
/**
 * A folder of Google Drive. A key is a file's whole name: Drive's names may hold slashes. They need not be unique either, so a
 * name is looked for before a file is created and once more afterwards, and of two files the older one stays.
 */
export function openGoogleDrive(options: GoogleDriveOptions): BlobStore {
  const frame = frameOf({
    scheme: "gdrive",
    place: options.folderId,
    prefix: "",
    connect: async () => Promise.resolve(driveOf(options)),
  });
  const { name, nameOf, locationOf, told } = frame;
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async (drive) => {
        const stored = await putFile(drive, nameOf(key), body, info);
        return { location: locationOf(key), ...stored };
      }),
    get: async (key, signal) =>
      told(`read ${key}`, async (drive) => {
        const [file] = await filesNamed(drive, nameOf(key), signal);
        if (file === undefined) throw new StorageError("missing", `${name}: there is no ${key}`);
        const address = `${drive.api}/drive/v3/files/${file.id}?alt=media&supportsAllDrives=true`;
        const { body } = await drive.send(address, { method: "GET", signal });
        return addAbortSignal(signal, Readable.from(body ?? []));
      }),
    head: async (key, signal) =>
      told(`look at ${key}`, async (drive) => {
        const [file] = await filesNamed(drive, nameOf(key), signal);
        if (file === undefined) return undefined;
        const told = Object.entries(file.appProperties).filter(([name]) => !(name in MARK));
        const metadata = Object.fromEntries(told);
        return { bytes: Number(file.size), etag: file.id, metadata };
      }),
    list: (under, signal) => entries(frame, under, signal),
    delete: async (key, signal) =>
      told(`delete ${key}`, async (drive) => {
        const files = await filesNamed(drive, nameOf(key), signal);
        const ours = files.filter(({ appProperties: { fettle } }) => fettle === MARK.fettle);
        if (files[0] !== undefined && ours.length === 0)
          throw new ServiceFailure("refused", `${files[0].id} was written by somebody else`);
        for (const file of ours) await remove(drive, file, signal);
      }),
  };
}

function driveOf(options: GoogleDriveOptions): Drive {
  const { clock, endpoint: api = "https://www.googleapis.com" } = options;
  const send = createSender({
    service: "Google Drive",
    tokens: googleTokens(options),
    explain,
    clock,
  });
  return { send, api, options };
}

const failureForm = z.object({
  error: z.object({
    message: z.string().default(""),
    errors: z.array(z.object({ reason: z.string().default("") })).default([]),
  }),
});

/** Too many requests are a 403 as well; only the reason tells them from what is forbidden. */
function explain(status: number, body: string) {
  const error = formed(body, failureForm)?.error;
  const code = error?.errors[0]?.reason ?? "";
  const passing = status === 403 && /^(userRateLimit|rateLimit)Exceeded$/.test(code);
  return { code, text: error?.message ?? "", kind: passing ? ("unavailable" as const) : undefined };
}

async function* entries(
  { told }: Frame<Drive>,
  under: string,
  signal: AbortSignal,
): AsyncGenerator<BlobEntry> {
  for (let next: string | undefined; ;) {
    const { files, nextPageToken } = await told(`list ${under}`, async (drive) =>
      page(
        drive,
        "",
        { pageSize: PAGE, ...(next === undefined ? {} : { pageToken: next }) },
        signal,
      ),
    );
    for (const { name, size } of files)
      if (name.startsWith(under) && isKey(name)) yield { key: name, bytes: Number(size) };
    next = nextPageToken;
    if (next === undefined) return;
  }
}

/** People may keep files of any name there. */
function isKey(name: string): boolean {
  try {
    checkKey(name);
    return true;
  } catch {
    return false;
  }
}
