import { checkKey } from "../../storage.ts";
import { storageError } from "./vendor-error.ts";

interface FrameOptions<Connection> {
  /** Such as `s3` in `s3://bucket/prefix`. */
  readonly scheme: string;
  /** A bucket or a container. */
  readonly place: string;
  readonly prefix: string;
  /** Asked once, when it is first needed: the SDKs are slow to load. */
  readonly connect: () => Promise<Connection>;
}

export interface Frame<Connection> {
  readonly name: string;
  /** @throws StorageError for what is no key */
  readonly nameOf: (key: string) => string;
  /** Where an object is, for people. */
  readonly locationOf: (key: string) => string;
  /** Any failure of `work` is a StorageError that says what could not be done. */
  readonly told: <T>(what: string, work: (connection: Connection) => Promise<T>) => Promise<T>;
}

/** What every store of a cloud has in common: its name, those of its objects, one connection, failures in our words. */
export function frameOf<Connection>(options: FrameOptions<Connection>): Frame<Connection> {
  const { scheme, place, prefix } = options;
  const name = `${scheme}://${[place, prefix].filter((part) => part !== "").join("/")}`;
  let connection: Promise<Connection> | undefined;
  return {
    name,
    nameOf: (key) => {
      checkKey(key);
      return prefix === "" ? key : `${prefix}/${key}`;
    },
    locationOf: (key) => `${name}/${key}`,
    told: async (what, work) => {
      try {
        connection ??= options.connect();
        return await work(await connection);
      } catch (error) {
        throw storageError(`${name}: cannot ${what}`, error);
      }
    },
  };
}

/** Pieces of any size as parts of one size; the last is shorter, and nothing has none. One part is in memory. */
export async function* partsOf(
  pieces: AsyncIterable<Buffer>,
  partBytes: number,
): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    for (let rest = piece; rest.length > 0;) {
      const taken = rest.subarray(0, partBytes - bytes);
      waiting.push(taken);
      bytes += taken.length;
      rest = rest.subarray(taken.length);
      if (bytes < partBytes) continue;
      yield Buffer.concat(waiting);
      waiting = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}

/** For calls that cannot be given up: they are left alone instead. */
export async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(new Error("given up", { cause: signal.reason }));
    };
    signal.addEventListener("abort", abort);
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", abort);
    });
  });
}
