import { setTimeout as sleep } from "node:timers/promises";
import type {
  Backend,
  Container,
  ContainerSpec,
  Terminal,
} from "../../../../hypervisor/backends/types.ts";

/** One backend under test, and what its engine is like. */
export interface Given {
  readonly backend: Backend;
  readonly image: string;
  /** Makes a container stay up, where the image's own command would not. */
  readonly command?: readonly string[];
  /** Where a container's program writes for its log. */
  readonly console: string;
  /** A pool for volumes. */
  readonly pool: string;
  /** host:port where its cluster listens. */
  readonly clusterAddress?: string;
  /** Ends a line whose output counts: LXD 5.0.2 loses what a command prints that ends at once (16 of 160). */
  readonly lingers?: string;
  /** Reads an exported snapshot in, as its people would. @returns the image that it became; undefined: it is the snapshot again */
  readonly readIn?: (tar: Buffer) => Promise<string | undefined>;
  readonly stop: () => Promise<void>;
}

export const PROJECT = "default";
/** Real engines on a loaded machine. */
export const LIMIT_MS = 60_000;
const POLL_MS = 50;
const POLL_DEADLINE_MS = 20_000;
const SIZE = { columns: 80, rows: 24 };

/** What the tests of all backends say in one word. */
export interface Subject {
  readonly given: () => Given;
  readonly backend: () => Backend;
  readonly create: (name: string, more?: Partial<ContainerSpec>) => Promise<Container>;
  readonly running: (name: string, more?: Partial<ContainerSpec>) => Promise<Container>;
  readonly remove: (...names: readonly string[]) => Promise<void>;
  /** @returns the exit code */
  readonly shell: (name: string, line: string) => Promise<number | undefined>;
  /** @returns what the line prints */
  readonly printed: (name: string, line: string) => Promise<string>;
  readonly lines: (name: string, tail: number) => Promise<readonly string[]>;
}

export function at(name: string): { readonly project: string; readonly name: string } {
  return { project: PROJECT, name };
}

export function subjectOf(given: () => Given): Subject {
  const backend = () => given().backend;
  const open = async (name: string, line: string) =>
    backend().terminals.open({ ...at(name), ...SIZE, command: ["sh", "-c", line] });
  const create: Subject["create"] = async (name, more = {}) => {
    const { image, command } = given();
    return backend().containers.create({ ...at(name), image, command, ...more });
  };
  return {
    given,
    backend,
    create,
    running: async (name, more) => {
      await create(name, more);
      return backend().containers.act({ ...at(name), action: "start" });
    },
    remove: async (...names) => {
      const force = { force: true };
      await Promise.all(
        names.map(async (each) => backend().containers.remove({ ...at(each), ...force })),
      );
    },
    shell: async (name, line) => {
      const { stream, exitCode } = await open(name, line);
      stream.resume();
      return exitCode;
    },
    printed: async (name, line) => {
      const { stream } = await open(name, `${line}${given().lingers ?? ""}`);
      let text = "";
      for await (const chunk of stream) text += String(chunk);
      return text.trim();
    },
    lines: async (name, tail) => {
      const found: string[] = [];
      for await (const { text } of await backend().logs.read({ ...at(name), tail }))
        found.push(text);
      return found;
    },
  };
}

/** How a BackendError names itself; "resolved" without one. */
export async function kindOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "resolved";
  } catch (error) {
    const { kind } = error as { readonly kind?: string };
    if (kind === undefined) throw error;
    return kind;
  }
}

export async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + POLL_DEADLINE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error("it did not come");
    await sleep(POLL_MS);
  }
}

/** What a terminal has shown so far. */
export function watch({ stream }: Terminal) {
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  const shows = async (pattern: RegExp) => {
    await until(async () => Promise.resolve(pattern.test(text))).catch(() => {
      throw new Error(`${String(pattern)} was not shown, only ${JSON.stringify(text)}`);
    });
  };
  return {
    shows,
    /** A new size takes a moment to arrive, so it is asked for again until it has. */
    retype: async (line: string, pattern: RegExp) => {
      await until(async () => {
        stream.write(line);
        await sleep(POLL_MS);
        return pattern.test(text);
      });
    },
  };
}
