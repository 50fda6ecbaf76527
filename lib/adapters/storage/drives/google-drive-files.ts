import { z } from "zod";
import type { GoogleDriveOptions } from "../../../storage-drives.ts";
import { answerOf } from "./answer.ts";
import type { Send } from "./request.ts";

/** Files of the same name that are looked at; there is at most one, unless people made more. */
const SAME_NAME_MAX = 10;
/** What we wrote carries this property, and only that is ever deleted. */
export const MARK = { fettle: "1" } as const;
export const FIELDS = "id,name,size,md5Checksum,sha256Checksum,createdTime,appProperties";

export const fileForm = z.object({
  id: z.string().min(1),
  name: z.string(),
  size: z.string().regex(/^\d+$/).default("0"), // Google's own documents have none
  md5Checksum: z.string().optional(),
  sha256Checksum: z.string().optional(),
  createdTime: z.string().default(""),
  appProperties: z.record(z.string(), z.string()).default({}),
});
const pageForm = z.object({
  files: z.array(fileForm),
  nextPageToken: z.string().optional(),
});
export type DriveFile = z.infer<typeof fileForm>;

export interface Drive {
  readonly send: Send;
  readonly api: string;
  readonly options: GoogleDriveOptions;
}

/** The oldest first. */
export async function filesNamed(
  drive: Drive,
  name: string,
  signal: AbortSignal,
): Promise<readonly DriveFile[]> {
  const { files } = await page(drive, `name = '${name}' and `, { pageSize: SAME_NAME_MAX }, signal);
  return files.toSorted((a, b) =>
    `${a.createdTime} ${a.id}` < `${b.createdTime} ${b.id}` ? -1 : 1,
  );
}

export async function page(
  { send, api, options }: Drive,
  filter: string,
  query: Readonly<Record<string, string | number>>,
  signal: AbortSignal,
) {
  const address = new URL(`${api}/drive/v3/files`);
  const parameters = {
    // Keys hold no quotation marks; folder ids neither.
    q: `${filter}'${options.folderId}' in parents and trashed = false`,
    fields: `nextPageToken,files(${FIELDS})`,
    supportsAllDrives: true,
    includeItemsFromAllDrives: true,
    ...query,
  };
  for (const [name, value] of Object.entries(parameters))
    address.searchParams.set(name, String(value));
  return answerOf(await send(address.href, { method: "GET", signal }), pageForm);
}

/** Of a shared drive only organizers may delete; whoever may write can at least put it into the trash. */
export async function remove(
  { send, api }: Drive,
  { id }: Pick<DriveFile, "id">,
  signal: AbortSignal,
): Promise<void> {
  const address = `${api}/drive/v3/files/${id}?supportsAllDrives=true`;
  const { status } = await send(address, { method: "DELETE", signal, accept: [403, 404] });
  if (status !== 403) return;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ trashed: true });
  await send(address, { method: "PATCH", signal, headers, body });
}
