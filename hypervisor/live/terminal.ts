import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { parseJson } from "../../lib/parse-json.ts";
import type { Size, Terminal } from "../backends/types.ts";
import type { Recording } from "./recording.ts";
import type { LiveSocket } from "./sockets.ts";

const EXIT_MS_MAX = 5_000;
const COLUMNS_MAX = 500;
const ROWS_MAX = 300;

const columnsSchema = z.int().min(1).max(COLUMNS_MAX);
const rowsSchema = z.int().min(1).max(ROWS_MAX);

/** What a client says as text; bytes are what was typed. */
const controlSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("resize"), columns: columnsSchema, rows: rowsSchema }),
  z.strictObject({ type: z.literal("input"), data: z.string() }),
]);

export interface SessionDeps {
  readonly recording: Recording | undefined;
  readonly clock: Clock;
  /** Without anything typed. */
  readonly idleMs: number;
}

/** How a session ended. */
export interface Ended {
  readonly exitCode: number | undefined;
  readonly why: string;
}

/**
 * Joins a client's socket and a terminal until one of them ends. Neither side is read faster than the other takes it, so
 * nothing piles up between them.
 */
export async function holdSession(
  socket: LiveSocket,
  terminal: Terminal,
  deps: SessionDeps,
): Promise<Ended> {
  const { stream } = terminal;
  const state = { typedAt: deps.clock.now().getTime(), why: "the client has gone" };
  const end = (code: number, why: string): void => {
    if (!socket.signal.aborted) state.why = why;
    socket.close(code, why);
  };
  takeInput(socket, terminal, {
    ...deps,
    end,
    typed: () => (state.typedAt = deps.clock.now().getTime()),
  });
  const idle = watchIdle(socket, deps, { end, typedAt: () => state.typedAt });
  const hangUp = () => stream.destroy();
  socket.signal.addEventListener("abort", hangUp, { once: true });
  try {
    for await (const piece of stream) {
      await deps.recording?.output(piece as Buffer);
      await socket.send(piece as Buffer);
    }
    const exitCode = await exitOf(terminal, deps.clock);
    if (!socket.signal.aborted) {
      await socket.send(JSON.stringify({ type: "exit", code: exitCode ?? null }));
      end(1000, "the command has ended");
    }
    return { exitCode, why: state.why };
  } catch (error) {
    if (!socket.signal.aborted) end(1011, messageOf(error).slice(0, 100));
    return { exitCode: undefined, why: state.why };
  } finally {
    stream.destroy();
    socket.close(1000, "ended");
    await idle;
  }
}

interface InputDeps extends SessionDeps {
  readonly end: (code: number, why: string) => void;
  readonly typed: () => void;
}

function takeInput(socket: LiveSocket, terminal: Terminal, deps: InputDeps): void {
  const { stream } = terminal;
  const resize = resizer(terminal, deps);
  stream.on("error", () => undefined); // the reading side tells of it
  const type = (data: Buffer | string): void => {
    deps.typed();
    if (stream.destroyed || stream.write(data)) return;
    socket.pause(); // the container takes no more for now
    stream.once("drain", () => {
      socket.resume();
    });
  };
  socket.onMessage((data, isText) => {
    if (!isText) {
      type(data);
      return;
    }
    const said = controlSchema.safeParse(parseJson(data.toString("utf8")));
    if (!said.success) deps.end(1008, "a text must be a resize or an input");
    else if (said.data.type === "input") type(said.data.data);
    else resize({ columns: said.data.columns, rows: said.data.rows });
  });
}

/** One size under way and one that waits, the newest: a window that is dragged sends more than an engine takes. */
function resizer(terminal: Terminal, { end, recording }: InputDeps): (size: Size) => void {
  let newest: Size | undefined;
  let underWay = false;
  const work = async (): Promise<void> => {
    underWay = true;
    try {
      while (newest !== undefined) {
        const size = newest;
        newest = undefined;
        await terminal.resize(size);
        await recording?.resized(size);
      }
    } catch {
      end(1011, "the terminal cannot be resized");
    } finally {
      underWay = false;
    }
  };
  return (size) => {
    newest = size;
    if (!underWay) void work();
  };
}

async function watchIdle(
  socket: LiveSocket,
  { clock, idleMs }: SessionDeps,
  { end, typedAt }: { readonly end: InputDeps["end"]; readonly typedAt: () => number },
): Promise<void> {
  while (!socket.signal.aborted) {
    const left = typedAt() + idleMs - clock.now().getTime();
    if (left <= 0) end(4408, `nothing was typed for ${idleMs / 1000} s`);
    else await clock.sleep(left, socket.signal);
  }
}

async function exitOf({ exitCode }: Terminal, clock: Clock): Promise<number | undefined> {
  const done = new AbortController();
  const late = clock.sleep(EXIT_MS_MAX, done.signal).then(() => undefined);
  const code = await Promise.race([exitCode, late]);
  done.abort();
  return code;
}
