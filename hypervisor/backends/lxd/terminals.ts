import { z } from "zod";
import { boundedTerminals } from "../bounded-terminals.ts";
import { BackendError } from "../error.ts";
import type { RawBackend, Size, Terminal, TerminalRequest } from "../types.ts";
import type { LxdClient } from "./client.ts";
import { getContainer, placeOf } from "./containers.ts";
import { socketStream } from "./socket-stream.ts";

const endSchema = z.object({ return: z.number() });

/** Interactive commands: one socket for the bytes, one for the window's size. */
export function lxdTerminals(client: LxdClient): RawBackend["terminals"] {
  return boundedTerminals({
    open: async (request, signal) => {
      const { status } = await getContainer(client, request, signal);
      if (status !== "running") {
        throw new BackendError("conflict", `container ${request.name} is ${status}`);
      }
      return open(client, request, signal);
    },
  });
}

async function open(
  client: LxdClient,
  { command, environment = {}, columns, rows, ...place }: TerminalRequest,
  signal: AbortSignal,
): Promise<Terminal> {
  const { path, query } = placeOf(place);
  const body = {
    command,
    environment: { TERM: "xterm-256color", ...environment },
    interactive: true,
    "wait-for-websocket": true,
    width: columns,
    height: rows,
  };
  const request = { method: "POST", path: `${path}/exec`, query, body, signal } as const;
  const { id, sockets } = await client.begin(request);
  const connect = async (secret = "") =>
    client.webSocket(
      `/1.0/operations/${id}/websocket?secret=${encodeURIComponent(secret)}`,
      signal,
    );
  const stream = socketStream(await connect(sockets["0"]), signal);
  const control = await connect(sockets["control"]).catch((error: unknown) => {
    stream.destroy(); // nobody else knows of it
    throw error;
  });
  control.resume();
  stream.once("close", () => {
    control.close();
  });
  // The command may run for days, so this waits as long as the terminal is open, whatever the caller's deadline was.
  const exitCode = client
    .finished(id, signal)
    .then((metadata) => endSchema.safeParse(metadata).data?.return)
    .catch(() => undefined);
  return {
    stream,
    exitCode,
    resize: async (size: Size) => {
      if (control.readyState !== control.OPEN) return;
      control.send(JSON.stringify(resizeOf(size)));
    },
  };
}

function resizeOf({ columns, rows }: Size) {
  return { command: "window-resize", args: { width: `${columns}`, height: `${rows}` } };
}
