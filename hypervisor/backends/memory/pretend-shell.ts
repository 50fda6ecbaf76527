import { Duplex } from "node:stream";
import type { Size, Terminal, TerminalRequest } from "../types.ts";
import { say, type MemoryContainer, type World } from "./world.ts";

export interface ShellPlace {
  readonly world: World;
  readonly container: MemoryContainer;
  readonly request: TerminalRequest;
  readonly signal: AbortSignal;
}

const LINE_CHARACTERS_MAX = 4_096;

/**
 * What the demo and tests talk to where nothing runs: it shows what is typed, as a terminal does, and knows `echo`, `cat`,
 * `stty size` and `exit`. `sh -c "…"` runs one such line.
 */
export function pretendShell({ world, container, request, signal }: ShellPlace): Terminal {
  const { environment = {} } = request;
  let size: Size = { columns: request.columns, rows: request.rows };
  let typed = "";
  const exit = Promise.withResolvers<number | undefined>();
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      for (const character of chunk.toString("utf8")) type(character);
      done();
    },
    destroy: (error, done) => {
      exit.resolve(undefined); // without effect when it has ended already
      done(error);
    },
  });
  const end = (code: number) => {
    exit.resolve(code);
    stream.push(null);
  };
  const run = (line: string): void => {
    const result = runLine(line, { environment, world, container, size });
    if (typeof result === "number") {
      end(result);
      return;
    }
    stream.push(`${result}$ `);
  };
  const type = (character: string): void => {
    if (character !== "\n" && character !== "\r") {
      typed = (typed + character).slice(0, LINE_CHARACTERS_MAX);
      stream.push(character);
      return;
    }
    stream.push("\r\n");
    const line = typed;
    typed = "";
    run(line);
  };
  signal.addEventListener("abort", () => stream.destroy(), { once: true });
  const [, flag, line] = request.command;
  if (flag === "-c") {
    const result = runLine(line ?? "", { environment, world, container, size });
    if (typeof result === "string") stream.push(result);
    end(typeof result === "number" ? result : 0);
  } else {
    stream.push("$ ");
  }
  return {
    stream,
    exitCode: exit.promise,
    resize: async (next) => {
      size = next;
      return Promise.resolve();
    },
  };
}

interface Place {
  readonly environment: Readonly<Record<string, string>>;
  readonly world: World;
  readonly container: MemoryContainer;
  readonly size: Size;
}

type Command = (given: readonly string[], place: Place) => string | number;

/** First match wins; what is given are the pattern's groups. */
const COMMANDS: readonly (readonly [RegExp, Command])[] = [
  [/^$/, () => ""],
  [/^exit(?: (\d{1,3}))?$/, ([code]) => Number(code ?? 0)],
  [/^stty size$/, (_given, { size }) => `${size.rows} ${size.columns}\r\n`],
  [/^echo ([^>]*?) ?> ?(\S+)$/, ([text = "", path = ""], place) => write(text, path, place)],
  [/^echo (.*)$/, ([text = ""]) => `${text}\r\n`],
  [/^cat (\S+)$/, ([path = ""], place) => read(path, place)],
  [/^(\S*)/, ([program = ""]) => `sh: ${program}: not found\r\n`],
];

/** @returns what it prints, or the code that the shell ends with */
function runLine(typed: string, place: Place): string | number {
  const { environment } = place;
  const line = typed.replaceAll(/\$(\w+)/g, (all, name: string) => environment[name] ?? all);
  for (const [pattern, command] of COMMANDS) {
    const match = pattern.exec(line);
    if (match !== null) return command(match.slice(1), place);
  }
  return "";
}

function write(text: string, path: string, { world, container }: Place): string {
  if (path === CONSOLE) say(world, container, text);
  else container.files[path] = text;
  return "";
}

function read(path: string, { container }: Place): string {
  return `${container.files[path] ?? `cat: ${path}: no such file`}\r\n`;
}

/** What is written there is in the container's log. */
const CONSOLE = "/dev/console";
