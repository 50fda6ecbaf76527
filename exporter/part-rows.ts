import type { Content } from "./content.ts";
import { plainName } from "./name.ts";
import { openArchive } from "./unzip.ts";

/** The rows of a part as they were found: the CSV, and what must say the same in JSON lines. */
export interface PartRows {
  readonly csv: AsyncIterable<Uint8Array>;
  readonly twins: readonly AsyncIterable<Uint8Array>[];
}

/**
 * @param name of the sealed file or of what is in it: it says whether that is an archive
 * @throws when an archive is not what an export makes
 */
export async function rowsIn(name: string, content: Content): Promise<PartRows> {
  const plain = plainName(name);
  if (!plain.endsWith(".zip")) return { csv: content.read(), twins: [] };
  const { csv, jsonl } = await openArchive(plain, content);
  return { csv, twins: [jsonl] };
}
