import { addAbortSignal, Readable } from "node:stream";
import { z } from "zod";
import { StorageError, type BlobEntry, type BlobStore } from "../../../storage.ts";
import type { GraphOptions } from "../../../storage-drives.ts";
import { frameOf, type Frame } from "../frame.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerOf, formed } from "./answer.ts";
import { graphTokens } from "./graph-tokens.ts";
import { itemForm, putItem, type Graph } from "./graph-upload.ts";
import { createSender } from "./request.ts";

const PAGE = 200;
/** Folders below folders; ours lie flat. */
const DEPTH_MAX = 8;

const childrenForm = z.object({
  value: z.array(
    z.object({
      name: z.string(),
      size: z.int().nonnegative().default(0),
      folder: z.object({}).optional(),
    }),
  ),
  "@odata.nextLink": z.url().optional(),
});

/** A folder of OneDrive or SharePoint. Missing folders are made by the first upload. */
export function openGraphDrive(scheme: string, options: GraphOptions): BlobStore {
  const frame = frameOf({
    scheme,
    place: options.label,
    prefix: options.folder,
    connect: async () => Promise.resolve(graphOf(options)),
  });
  const { name, nameOf, locationOf, told } = frame;
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async (graph) => {
        const stored = await putItem(graph, nameOf(key), body, info);
        return { location: locationOf(key), ...stored };
      }),
    get: async (key, signal) =>
      told(`read ${key}`, async (graph) => {
        const response = await contentOf(graph, nameOf(key), signal);
        if (response === undefined)
          throw new StorageError("missing", `${name}: there is no ${key}`);
        return addAbortSignal(signal, Readable.from(response.body ?? []));
      }),
    head: async (key, signal) =>
      told(`look at ${key}`, async ({ send, itemAt }) => {
        const address = `${itemAt(nameOf(key))}?$select=id,size,eTag,file`;
        const response = await send(address, { method: "GET", signal, accept: [404] });
        if (response.status === 404) {
          await response.body?.cancel();
          return undefined;
        }
        const { size: bytes, eTag: etag } = await answerOf(response, itemForm);
        return { bytes, etag, metadata: {} };
      }),
    list: (under, signal) =>
      entries(frame, { root: options.folder, folder: "", under, depth: 0 }, signal),
    delete: async (key, signal) =>
      told(`delete ${key}`, async ({ send, itemAt }) => {
        await send(itemAt(nameOf(key)), { method: "DELETE", signal, accept: [404] });
      }),
  };
}

function graphOf(options: GraphOptions): Graph {
  const { graphUrl, drive, clock } = options;
  const send = createSender({
    service: "Microsoft Graph",
    tokens: graphTokens(options),
    explain,
    clock,
  });
  const api = `${graphUrl}/v1.0`;
  const itemAt = (path: string, action = "") => {
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    if (encoded === "") return `${api}${drive}/root${action}`;
    return `${api}${drive}/root:/${encoded}${action === "" ? "" : `:${action}`}`;
  };
  return { send, clock, itemAt, itemOf: (id) => `${api}${drive}/items/${encodeURIComponent(id)}` };
}

const failureForm = z.object({
  error: z.object({ code: z.string().default(""), message: z.string().default("") }),
});

const KINDS: Readonly<Record<string, ServiceFailure["kind"]>> = {
  nameAlreadyExists: "exists",
  activityLimitReached: "unavailable",
  quotaLimitReached: "refused",
};

function explain(_status: number, body: string) {
  const { code = "", message: text = "" } = formed(body, failureForm)?.error ?? {};
  return { code, text, kind: KINDS[code] };
}

/** Undefined: there is none. Graph sends to another server, whose address is the permission: the token does not go there. */
async function contentOf(
  { send, itemAt }: Graph,
  path: string,
  signal: AbortSignal,
): Promise<Response | undefined> {
  const response = await send(itemAt(path, "/content"), {
    method: "GET",
    signal,
    accept: [302, 404],
  });
  if (response.status === 200) return response;
  await response.body?.cancel();
  if (response.status === 404) return undefined;
  const address = response.headers.get("location") ?? "";
  if (!URL.canParse(address))
    throw new ServiceFailure("unavailable", "Microsoft Graph named no place to read from");
  return send(address, { method: "GET", signal, isAuthorized: false });
}

interface Place {
  /** The store's own folder. */
  readonly root: string;
  /** Below the store's folder, with a slash at its end; empty for that folder itself. */
  readonly folder: string;
  readonly under: string;
  readonly depth: number;
}

async function* entries(
  frame: Frame<Graph>,
  { root, folder, under, depth }: Place,
  signal: AbortSignal,
): AsyncGenerator<BlobEntry> {
  if (depth > DEPTH_MAX) return;
  for (let next: string | undefined; ;) {
    const page = await frame.told(`list ${under}`, async (graph) =>
      childrenOf(graph, `${root}/${folder}`.replace(/^\/|\/$/g, ""), next, signal),
    );
    for (const { name, size, folder: isFolder } of page.value) {
      const key = `${folder}${name}`;
      if (isFolder === undefined) {
        if (key.startsWith(under)) yield { key, bytes: size };
      } else if (`${key}/`.startsWith(under) || under.startsWith(`${key}/`)) {
        yield* entries(frame, { root, folder: `${key}/`, under, depth: depth + 1 }, signal);
      }
    }
    next = page["@odata.nextLink"];
    if (next === undefined) return;
  }
}

async function childrenOf(
  { send, itemAt }: Graph,
  path: string,
  next: string | undefined,
  signal: AbortSignal,
): Promise<z.infer<typeof childrenForm>> {
  const first = `${itemAt(path, "/children")}?$top=${PAGE}&$select=name,size,folder`;
  if (next !== undefined && new URL(next).origin !== new URL(first).origin)
    throw new ServiceFailure("refused", "the next page is on another server");
  const response = await send(next ?? first, { method: "GET", signal, accept: [404] });
  if (response.status !== 404) return answerOf(response, childrenForm);
  await response.body?.cancel();
  return { value: [] };
}
