import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { zipOf, type Member, type ZipOptions } from "../../exporter/zip.ts";

export const ZIP_OPTIONS: ZipOptions = {
  changedAt: new Date("2025-11-21T01:15:04Z"),
  compressed: true,
};

export function member(name: string, content: string | Buffer): Member {
  return { name, content: () => Readable.from([Buffer.from(content)]) as AsyncIterable<Buffer> };
}

export async function pack(members: readonly Member[], options = ZIP_OPTIONS): Promise<Buffer> {
  return buffer(zipOf(members, options));
}
