import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { newId } from "../../lib/id.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend } from "../backends/types.ts";
import { countOf } from "../frame/query.ts";
import { appendDeed } from "../frame/record.ts";
import { organizationOf } from "../operations/table.ts";
import type { Router } from "../frame/router.ts";
import type { SocketCall, Upgrade } from "../frame/sockets.ts";
import { startRecording, type Recorded, type Recording } from "../live/recording.ts";
import type { Live } from "../live/sockets.ts";
import { createTerminalRoom, orUnwritable } from "../live/terminal-room.ts";
import { holdSession, type Ended } from "../live/terminal.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { recordingPath } from "./recordings.ts";

export interface TerminalDeps {
  /** Its refusals are HttpProblems (backend-problems.ts). */
  readonly backend: Backend;
  readonly live: Live;
  readonly database: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  readonly terminalIdleMs: number;
  /** Where sessions are recorded; undefined: they are not. */
  readonly recordingsDir: string | undefined;
}

const PERMISSION = "container:exec";
const COMMAND_MAX = 1_000;
const DEFAULT_COMMAND = "/bin/sh";
const TERM = "xterm-256color";

const query = projectQuery.extend({
  columns: countOf(1, 500).default(80),
  rows: countOf(1, 300).default(24),
  /** Run by the container's shell, instead of it. */
  command: z.string().min(1).max(COMMAND_MAX).optional(),
});

const NOT_OPENED: Ended = { exitCode: undefined, why: "it was not opened" };

interface Session {
  readonly id: string;
  readonly name: string;
  readonly project: string;
  readonly call: SocketCall<unknown, z.output<typeof query>>;
}

/** `WS /ws/terminal/{name}`: a shell in a container. Bytes are the terminal's; texts are `resize`, `input` and `exit`. */
export function addTerminalRoutes(router: Router, deps: TerminalDeps): void {
  const { backend } = deps;
  const enter = createTerminalRoom({ ...deps, folder: deps.recordingsDir });
  router.webSocket(
    {
      path: "/ws/terminal/:name",
      permission: PERMISSION,
      summary: "a shell in a container",
      params: z.strictObject({ name: nameSchema }),
      query,
    },
    async (call, upgrade) => {
      const { name } = call.params;
      const project = call.project(call.query.project);
      await running(backend, { name, project });
      const leave = await enter(call.principal.name);
      let bytes = 0;
      try {
        bytes = await hold(deps, { id: newId("term"), name, project, call }, upgrade);
      } finally {
        leave(bytes);
      }
    },
  );
}

/** @returns how many bytes were recorded */
async function hold(deps: TerminalDeps, session: Session, upgrade: Upgrade): Promise<number> {
  const { backend, live, clock, recordingsDir: folder, terminalIdleMs: idleMs } = deps;
  const { id, name, project, call } = session;
  const { columns, rows, command } = call.query;
  const title = `${project}/${name} by ${call.principal.name}`;
  // No record, no session: it is made before anything happens.
  const recording =
    folder === undefined
      ? undefined
      : await orUnwritable(startRecording(folder, { id, title, columns, rows }, clock), deps.log);
  let ended = NOT_OPENED;
  let opened = false;
  let bytes: number;
  try {
    await record(deps, session, { opened: true });
    opened = true;
    const socket = await live.accept(call, upgrade, { permission: PERMISSION, project });
    const shell = command === undefined ? [DEFAULT_COMMAND] : [DEFAULT_COMMAND, "-c", command];
    const environment = { TERM };
    try {
      const terminal = await backend.terminals.open(
        { name, project, columns, rows, command: shell, environment },
        { signal: socket.signal },
      );
      ended = await holdSession(socket, terminal, { recording, clock, idleMs });
    } catch (error) {
      // The protocol is switched by now: the reason can only be told by it.
      ended = { exitCode: undefined, why: reasonOf(error) };
      socket.close(1011, ended.why);
    }
  } finally {
    bytes = await close(deps, session, { recording, ended, opened });
  }
  return bytes;
}

async function running(
  { containers }: Backend,
  where: { readonly name: string; readonly project: string },
): Promise<void> {
  const { status } = await containers.get(where);
  if (status === "running") return;
  throw new HttpProblem(409, "Conflict", `${where.name} is ${status}: start it first.`);
}

function reasonOf(error: unknown): string {
  return error instanceof HttpProblem
    ? (error.detail ?? error.title)
    : "the shell could not be opened";
}

interface Closing {
  readonly recording: Recording | undefined;
  readonly ended: Ended;
  readonly opened: boolean;
}

async function close(
  deps: TerminalDeps,
  session: Session,
  { recording, ended, opened }: Closing,
): Promise<number> {
  let bytes = 0;
  try {
    const recorded = await recording?.finish();
    bytes = recorded?.bytes ?? 0;
    if (opened) await record(deps, session, { opened: false, ended, recorded });
  } catch (error) {
    deps.log.error("end of a terminal session not recorded", {
      session: session.id,
      error: messageOf(error),
    });
  }
  return bytes;
}

interface Deed {
  readonly opened: boolean;
  readonly ended?: Ended;
  readonly recorded?: Recorded | undefined;
}

async function record(deps: TerminalDeps, { id, name, project, call }: Session, deed: Deed) {
  const { principal, ip, query: asked } = call;
  const { opened, ended } = deed;
  const command = asked.command === undefined ? {} : { command: asked.command };
  await appendDeed(deps.database, {
    actor: principal.name,
    action: opened ? "TerminalOpened" : "TerminalClosed",
    resource: "container",
    id: name,
    result: opened ? "Started" : ended === NOT_OPENED ? "Failure" : "Success",
    summary: summaryOf(deps, id, deed),
    facts: { session: id, project, ...command, ...factsOf(deps, id, deed) },
    ip,
    organization: principal.organization ?? (await organizationOf(deps.database, project)),
    token: principal.token,
  });
}

function summaryOf(
  { recordingsDir }: TerminalDeps,
  id: string,
  { opened, ended, recorded }: Deed,
): string {
  const where = recordingPath(id);
  if (opened)
    return `Opened a terminal${recordingsDir === undefined ? ", which is not recorded" : `; its recording: ${where}`}`;
  return `Closed a terminal: ${ended?.why ?? ""}${recorded === undefined ? "" : `; its recording: ${where}`}`;
}

function factsOf({ recordingsDir }: TerminalDeps, id: string, { opened, ended, recorded }: Deed) {
  if (opened) return recordingsDir === undefined ? {} : { recording: `${id}.cast` };
  const { file, ...rest } = recorded ?? {};
  return {
    exit_code: ended?.exitCode ?? null,
    ...(file === undefined ? {} : { recording: file, ...rest }),
  };
}
