import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import Docker from "dockerode";

/** `docker load`. */
export async function loadInto(socketPath: string, tar: Buffer): Promise<undefined> {
  const said = await new Docker({ socketPath }).loadImage(Readable.from([tar]));
  await text(said);
}
