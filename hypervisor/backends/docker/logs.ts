import { Readable } from "node:stream";
import type Docker from "dockerode";
import { dialStream } from "./dial.ts";
import { splitLines, type LineSplitter } from "../lines.ts";
import type { LogLine, RawBackend } from "../types.ts";
import { inspect } from "./containers.ts";

/** Of what is not followed, in characters: so much of a log is an answer. */
const HELD_MAX = 4 * 1024 * 1024;

/** What the container writes to its two streams, with the engine's times. */
export function dockerLogs(docker: Docker): RawBackend["logs"] {
  return {
    read: async ({ tail, follow = false, ...place }, signal) => {
      const { Id, Config } = await inspect(docker, place, signal);
      const container = docker.getContainer(Id);
      const options = { stdout: true, stderr: true, timestamps: true, tail, abortSignal: signal };
      if (!follow) return newest(linesOf(await whole(container, options), Config.Tty));
      // Opened when it is read: Podman answers no earlier than the container says something.
      return linesOf(opened(container, options), Config.Tty);
    },
  };
}

type LogsOptions = Omit<Docker.ContainerLogsOptions, "abortSignal"> & {
  readonly abortSignal: AbortSignal;
};

/** As a stream, since dockerode would put the whole answer together, and a line without an end has no bound. */
async function whole(
  container: Docker.Container,
  { abortSignal, ...options }: LogsOptions,
): Promise<AsyncIterable<Buffer>> {
  const { modem } = container as { readonly modem: Docker["modem"] };
  const path = `/containers/${container.id}/logs?`;
  return dialStream({ modem }, { path, options, signal: abortSignal });
}

/** The last lines, of which no more is held at any time. */
async function newest(lines: AsyncIterable<LogLine>): Promise<AsyncIterable<LogLine>> {
  const held: LogLine[] = [];
  let characters = 0;
  for await (const line of lines) {
    held.push(line);
    characters += line.text.length;
    while (characters > HELD_MAX) characters -= held.shift()?.text.length ?? 0;
  }
  return Readable.from(held);
}

async function* opened(
  container: Docker.Container,
  options: Docker.ContainerLogsOptions,
): AsyncGenerator<Buffer> {
  // Its type is that of a stream of before Node 10; it is Node's own.
  const stream: unknown = await container.logs({ ...options, follow: true });
  yield* stream as AsyncIterable<Buffer>;
}

type Stream = LogLine["stream"];

async function* linesOf(
  bytes: AsyncIterable<Buffer> | Iterable<Buffer>,
  tty: boolean,
): AsyncGenerator<LogLine> {
  const splitters = new Map<Stream, LineSplitter>();
  const splitterOf = (stream: Stream) => {
    const splitter = splitters.get(stream) ?? splitLines();
    splitters.set(stream, splitter);
    return splitter;
  };
  for await (const { stream, payload } of tty ? plain(bytes) : frames(bytes)) {
    for (const text of splitterOf(stream).push(payload)) yield lineOf(stream, text);
  }
  for (const [stream, splitter] of splitters) {
    for (const text of splitter.rest()) yield lineOf(stream, text);
  }
}

interface Frame {
  readonly stream: Stream;
  readonly payload: Buffer;
}

async function* plain(bytes: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Frame> {
  for await (const payload of bytes) yield { stream: "console", payload };
}

const HEADER_BYTES = 8;
const LENGTH_AT = 4;
/** The engines write pieces of 16 KiB; a longer one is no log of theirs. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** The engine's framing of the two streams: one byte for which, three zeros, the length, the bytes. */
async function* frames(bytes: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Frame> {
  let held = Buffer.alloc(0);
  for await (const part of bytes) {
    held = held.length === 0 ? Buffer.from(part) : Buffer.concat([held, part]);
    while (held.length >= HEADER_BYTES) {
      const length = held.readUInt32BE(LENGTH_AT);
      if (length > FRAME_BYTES_MAX) throw new Error(`a log frame of ${length} bytes`);
      if (held.length < HEADER_BYTES + length) break;
      const payload = held.subarray(HEADER_BYTES, HEADER_BYTES + length);
      yield { stream: held[0] === 2 ? "stderr" : "stdout", payload };
      held = held.subarray(HEADER_BYTES + length);
    }
  }
}

/** The engine puts its time and a blank before each line. */
function lineOf(stream: Stream, line: string): LogLine {
  const [, at, text] = /^(\d{4}-\d\d-\d\dT\S+) (.*)$/s.exec(line) ?? [];
  return { at, stream, text: text ?? line };
}
