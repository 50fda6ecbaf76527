import { setTimeout as sleep } from "node:timers/promises";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { boundedTerminals } from "../bounded-terminals.ts";
import { BackendError } from "../error.ts";
import type { RawBackend, Size, Terminal, TerminalRequest } from "../types.ts";
import { statusOf } from "./explain.ts";
import { hangUp, MARK, newMark } from "./hang-up.ts";
import { inspect } from "./containers.ts";
import { containerOf } from "./inspected.ts";

/** The engine tells the end of the stream before it knows the code. */
const CODE_LOOKS_MAX = 50;
const CODE_PAUSE_MS = 20;
const CREATED = 201;

export function dockerTerminals(docker: Docker): RawBackend["terminals"] {
  return boundedTerminals({
    open: async (request, signal) => {
      const found = await inspect(docker, request, signal);
      const { status } = containerOf(found);
      if (status !== "running") {
        throw new BackendError("conflict", `container ${request.name} is ${status}`);
      }
      return open(docker.getContainer(found.Id), request, signal);
    },
  });
}

async function open(
  container: Docker.Container,
  { command, environment = {}, columns, rows }: TerminalRequest,
  abortSignal: AbortSignal,
): Promise<Terminal> {
  const mark = newMark();
  const variables = { TERM: "xterm-256color", ...environment, [MARK]: mark };
  const exec = await container.exec({
    Cmd: [...command],
    Env: Object.entries(variables).map(([key, value]) => `${key}=${value}`),
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: true,
    abortSignal,
  });
  const stream: Duplex = await exec.start({ hijack: true, stdin: true, Tty: true });
  const close = () => {
    stream.destroy();
  };
  abortSignal.addEventListener("abort", close, { once: true });
  stream.once("close", () => {
    // A container that has stopped meanwhile has nothing left to end.
    if (!stream.readableEnded) hangUp(container, mark).catch(() => undefined);
  });
  stream.on("error", () => undefined); // "close" follows, and is what its users listen to
  if (abortSignal.aborted) {
    close(); // the engine took longer than the caller waited, whom no event will tell again
    throw abortSignal.reason;
  }
  const ended = new Promise<void>((resolve) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
  });
  const resize = async (size: Size) => {
    await exec.resize({ h: size.rows, w: size.columns }).catch((error: unknown) => {
      if (statusOf(error) !== CREATED) throw error; // Podman before 5 answers so
    });
  };
  // A command that ended at once has no window any more.
  await resize({ columns, rows }).catch(() => undefined);
  return { stream, resize, exitCode: ended.then(async () => codeOf(exec)) };
}

async function codeOf(exec: Docker.Exec): Promise<number | undefined> {
  for (let looks = 0; looks < CODE_LOOKS_MAX; looks += 1) {
    const found = await exec.inspect().catch(() => undefined);
    if (found === undefined) return undefined;
    if (!found.Running) return found.ExitCode ?? undefined;
    await sleep(CODE_PAUSE_MS);
  }
  return undefined;
}
