import { setTimeout as sleep } from "node:timers/promises";
import { splitLines } from "../lines.ts";
import type { LogLine, LogRequest, Named, RawBackend } from "../types.ts";
import type { LxdClient } from "./client.ts";
import { lxdConsoles, type Consoles } from "./consoles.ts";
import { getContainer } from "./containers.ts";

const POLL_MS = 500;

/** A system container's log is its console, without times. It can only be looked at, so following is looking again. */
export function lxdLogs(client: LxdClient): RawBackend["logs"] {
  const consoles = lxdConsoles(client);
  return {
    read: async (request, signal) => {
      const first = await look(client, consoles, request, signal);
      return request.follow === true
        ? follow(request, first, async () => {
            await sleep(POLL_MS, undefined, { signal });
            return look(client, consoles, request, signal);
          })
        : newest(first.bytes, request.tail);
    },
  };
}

interface Look {
  readonly from: number;
  readonly bytes: Buffer;
  readonly stopped: boolean;
}

/** The state first: what a container says at its end then comes with the last look. */
async function look(
  client: LxdClient,
  consoles: Consoles,
  { project, name }: Named,
  signal: AbortSignal,
): Promise<Look> {
  const place = { project, name };
  const { id, status } = await getContainer(client, place, signal);
  const stopped = status === "stopped";
  return { ...(stopped ? consoles.held(id) : await consoles.look(place, id)), stopped };
}

async function* newest(bytes: Buffer, tail: number): AsyncGenerator<LogLine> {
  const splitter = splitLines();
  const lines = [...splitter.push(bytes), ...splitter.rest()];
  for (const text of tail === 0 ? [] : lines.slice(-tail)) yield lineOf(text);
}

async function* follow(
  { tail }: LogRequest,
  first: Look,
  again: () => Promise<Look>,
): AsyncGenerator<LogLine> {
  const splitter = splitLines();
  const lines = splitter.push(first.bytes);
  for (const text of tail === 0 ? [] : lines.slice(-tail)) yield lineOf(text);
  let seen = first.from + first.bytes.length;
  for (let { stopped } = first; !stopped;) {
    const now = await again();
    const fresh = now.bytes.subarray(Math.max(seen - now.from, 0));
    for (const text of splitter.push(fresh)) yield lineOf(text);
    seen = now.from + now.bytes.length;
    ({ stopped } = now);
  }
  for (const text of splitter.rest()) yield lineOf(text);
}

function lineOf(text: string): LogLine {
  return { at: undefined, stream: "console", text };
}
