import { WebSocketServer, type WebSocket } from "ws";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Upgrade } from "../frame/sockets.ts";
import { tellCorrelation } from "../frame/switching.ts";
import type { Standing } from "../live/standing.ts";
import { EXPIRED } from "../live/watch.ts";
import { explain } from "../permissions.ts";
import type { Principal } from "../types.ts";
import { findProgress, readHistory } from "./progress-table.ts";
import { ENDED, type Status } from "./types.ts";

interface Followed {
  /** Of its row: keyOf in progress-table.ts. */
  readonly key: string;
  /** The last line that the client has. */
  readonly after: number;
  /** When they came; if it has ended, all of its lines are there. */
  readonly status: Status;
  readonly principal: Principal;
}

/** WebSockets that show how an operation goes on. */
export interface Follow {
  /** @throws HttpProblem 503 when there are too many */
  open(upgrade: Upgrade, followed: Followed): void;
  stop(): Promise<void>;
}

export interface FollowDeps {
  readonly database: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  readonly standing: Standing;
}

const SOCKETS_MAX = 500;
const LOOK_EVERY_MS = 500;
/** Of all sockets: a proxy cuts what is silent, and a client that has gone away does not answer. */
const PING_EVERY_MS = 25_000;
/** While the database does not answer nobody can be known to be still allowed: so long it is waited for. */
const UNKNOWN_MS_MAX = 55_000;
/** A client that reads too slowly is cut: it can come back and go on after its last line. */
const BUFFERED_BYTES_MAX = 256 * 1024;
const LINES_AT_ONCE = 200;
const MESSAGE_BYTES_MAX = 1_024;

interface Client extends Followed {
  readonly socket: WebSocket;
  after: number;
  status: Status;
  answered: boolean;
  /** When it was known for the last time that they may. */
  sureAt: number;
}

/** Looks into the table, where other replicas write too; one loop for all sockets, and only while there are some. */
export function createFollow(deps: FollowDeps): Follow {
  const server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
  tellCorrelation(server);
  const clients = new Set<Client>();
  const stopping = new AbortController();
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    let probed = deps.clock.now().getTime();
    while (clients.size > 0 && !stopping.signal.aborted) {
      const now = deps.clock.now().getTime();
      const due = now - probed >= PING_EVERY_MS;
      if (due) probed = now;
      for (const client of [...clients]) {
        if (isOver(client.principal, now)) client.socket.close(4401, EXPIRED);
        await bring(client, deps).catch((error: unknown) => {
          deps.log.warn("progress not followed", { error: messageOf(error) });
          cutUnsure(clients, deps.clock); // each of them may have to wait for the database
        });
        if (due) await probe(client, deps);
      }
      cutUnsure(clients, deps.clock);
      await deps.clock.sleep(LOOK_EVERY_MS, stopping.signal);
    }
    looking = undefined;
  };
  return {
    open: ({ request, socket, head }, followed) => {
      if (clients.size >= SOCKETS_MAX)
        throw new HttpProblem(503, "Too many", "Too many WebSockets are open.");
      server.handleUpgrade(request, socket, head, (open) => {
        const sureAt = deps.clock.now().getTime();
        const client: Client = { ...followed, socket: open, answered: true, sureAt };
        clients.add(client);
        open.on("error", () => {
          open.terminate(); // what the client breaks is no fault of ours
        });
        open.on("pong", () => {
          client.answered = true;
        });
        open.on("close", () => clients.delete(client));
        looking ??= look();
      });
    },
    stop: async () => {
      stopping.abort();
      for (const { socket } of clients) socket.close(1001, "the service stops");
      await looking;
      for (const { socket } of clients) socket.terminate();
      server.close();
    },
  };
}

function isOver({ expiresAt }: Principal, now: number): boolean {
  return expiresAt !== undefined && expiresAt.getTime() <= now;
}

function cutUnsure(clients: ReadonlySet<Client>, clock: Clock): void {
  const oldest = clock.now().getTime() - UNKNOWN_MS_MAX;
  for (const { socket, sureAt } of clients)
    if (sureAt < oldest) socket.close(1013, "nobody can tell whether you are signed in");
}

async function bring(client: Client, { database }: FollowDeps): Promise<void> {
  const { socket, key } = client;
  if (socket.bufferedAmount > BUFFERED_BYTES_MAX) {
    socket.close(1013, "too slow: come back with after=");
    return;
  }
  const lines = await readHistory(database, key, { after: client.after, limit: LINES_AT_ONCE });
  for (const line of lines) {
    socket.send(JSON.stringify(line));
    client.after = line.line;
    client.status = line.status;
  }
  // The client may have had the last line before it came, and the last batch may be a full one: then this one is empty.
  if (ENDED.has(client.status) && lines.length < LINES_AT_ONCE) socket.close(1000, client.status);
}

/** Twice within a minute: who does not answer is cut, and so is who was signed out or would not be shown it any more. */
async function probe(
  client: Client,
  { database, standing, clock, log }: FollowDeps,
): Promise<void> {
  const { socket, principal, key } = client;
  if (!client.answered) socket.terminate();
  client.answered = false;
  socket.ping();
  try {
    const now = await standing(principal);
    if (now === undefined) socket.close(4401, "signed out");
    else if (!explain(now, "progress:read").allowed)
      socket.close(4403, "no longer permitted: progress:read");
    else if ((await findProgress(database, key, now)) === undefined)
      socket.close(4403, "no longer theirs");
    else client.sureAt = clock.now().getTime();
  } catch (error) {
    log.warn("followers of progress not checked", { error: messageOf(error) });
  }
}
