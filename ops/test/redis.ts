import { connect } from "node:net";
import type { Account } from "./account.ts";
import { startServer, type ServerProcess } from "./server-process.ts";

export interface RedisPlace {
  readonly name: string;
  readonly workspace: string;
  readonly folder: string;
  readonly account: Account;
  readonly port: number;
}

export function redisUrl(port: number): string {
  return `redis://127.0.0.1:${port}/0`;
}

/** Starts a Redis that keeps nothing on disk. */
export async function startRedis(program: string, place: RedisPlace): Promise<ServerProcess> {
  const listen = ["--port", String(place.port), "--bind", "127.0.0.1"];
  return startServer({
    ...place,
    name: place.name,
    program,
    args: [...listen, "--save", "", "--appendonly", "no", "--dir", place.folder],
    ready: () => answersPing(place.port),
  });
}

/** A port that accepts is not enough: Redis answers -LOADING for a moment. */
async function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("PING\r\n"));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once("data", (answer) => {
      resolve(answer.toString().startsWith("+PONG"));
      socket.destroy();
    });
    socket.once("error", () => undefined); // refused while it starts; "close" follows
    socket.once("close", () => {
      resolve(false);
    });
  });
}
