import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { Clock } from "../../lib/clock.ts";
import type { Size } from "../backends/types.ts";

/** About a day of a busy build; a session without a record would be a hole, so it ends there. */
const BYTES_MAX = 64 * 1024 * 1024;

/** What is worth knowing of a finished recording. */
export interface Recorded {
  /** Of the file: `<id>.cast`. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A terminal session's record, asciicast v2. Only what is shown is recorded: what is typed unseen is a password. */
export interface Recording {
  /** @throws when the disk or the file is full */
  readonly output: (data: Uint8Array) => Promise<void>;
  readonly resized: (size: Size) => Promise<void>;
  readonly finish: () => Promise<Recorded>;
}

export interface RecordingStart extends Size {
  readonly id: string;
  readonly title: string;
}

/** @throws when the file cannot be made: no session begins without it */
export async function startRecording(
  folder: string,
  { id, title, columns, rows }: RecordingStart,
  clock: Clock,
): Promise<Recording> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = `${id}.cast`;
  // `wx`: never over another one, and through no link.
  const handle = await open(join(folder, file), "wx", 0o600);
  const begun = clock.now().getTime();
  const hash = createHash("sha256");
  const decoder = new StringDecoder("utf8");
  let bytes = 0;
  let last: Promise<void> = Promise.resolve();
  const append = async (line: unknown): Promise<void> => {
    const text = `${JSON.stringify(line)}\n`;
    bytes += Buffer.byteLength(text);
    if (bytes > BYTES_MAX) throw new Error("the recording is full");
    hash.update(text);
    // One after the other, also when nobody waits.
    const written = last.then(async () => {
      await handle.writeFile(text);
    });
    last = written.catch(() => undefined);
    await written;
  };
  const event = async (kind: "o" | "r", data: string): Promise<void> =>
    append([(clock.now().getTime() - begun) / 1000, kind, data]);
  const timestamp = Math.floor(begun / 1000);
  await append({ version: 2, width: columns, height: rows, timestamp, title });
  return {
    output: async (data) => {
      const text = decoder.write(Buffer.from(data)); // half a character waits for its other half
      if (text !== "") await event("o", text);
    },
    resized: async (size) => event("r", `${size.columns}x${size.rows}`),
    finish: async () => {
      await last;
      await handle.sync();
      await handle.close();
      return { file, bytes, sha256: hash.digest("hex") };
    },
  };
}
