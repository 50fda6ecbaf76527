import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { runCommandLine } from "../../cli/program.ts";

export interface Line {
  readonly area: string;
  readonly what: string;
  readonly result: string;
  readonly detail: string;
}

const servers: Server[] = [];

export function stopAnswering(): void {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
}

/** `fettle doctor --json` */
export async function doctor(env: Record<string, string>, ...args: readonly string[]) {
  const told: string[] = [];
  const write = (text: string) => {
    told.push(text);
  };
  const exit = await runCommandLine(["doctor", "--json", ...args], {
    env,
    out: write,
    err: write,
    terminal: false,
    ask: async () => "",
  });
  const lines = JSON.parse(told.join("")) as Line[];
  const of = (area: string, what?: string) =>
    lines.filter((line) => line.area === area && (what === undefined || line.what === what));
  return { exit, text: told.join("\n"), lines, of };
}

/** A server that answers as it is told. */
export async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export const json = (body: unknown, headers: Record<string, string> = {}): RequestListener => {
  return (_, response) => {
    response.setHeader("content-type", "application/json");
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.end(JSON.stringify(body));
  };
};
