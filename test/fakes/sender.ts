import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request, type OutgoingHttpHeaders } from "node:http";

const PAUSE_MS = 250;

export interface Answer {
  readonly status: number;
  readonly ms: number;
}

/** Sends with at most so many connections, which it keeps, as a client does that sends much. */
export interface Sender {
  readonly json: (url: string, body: string, token: string) => Promise<Answer>;
  /** Comes again on 503, which a service may say on a busy machine: the answer that is not that. */
  readonly alert: (url: string, body: string, token: string) => Promise<Answer>;
  readonly form: (url: string, fields: Readonly<Record<string, string>>) => Promise<Answer>;
  readonly close: () => void;
}

export function sender(connections = Number.POSITIVE_INFINITY): Sender {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const send = async (url: string, headers: OutgoingHttpHeaders, body: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const length = { "content-length": String(Buffer.byteLength(body)) };
      const options = { method: "POST", agent, headers: { ...headers, ...length } };
      const posting = request(url, options, (response) => {
        response.resume().on("end", () => {
          resolve({ status: response.statusCode ?? 0, ms: performance.now() - start });
        });
      });
      posting.on("error", (error: NodeJS.ErrnoException) => {
        // The server may hang up on an idle connection in the moment in which it is used again.
        if (posting.reusedSocket && error.code === "ECONNRESET")
          send(url, headers, body).then(resolve, reject);
        else reject(error);
      });
      posting.end(body);
    });
  const json: Sender["json"] = async (url, body, token) =>
    send(url, { "content-type": "application/json", authorization: `Bearer ${token}` }, body);
  return {
    json,
    alert: async (url, body, token) => {
      for (;;) {
        const answer = await json(url, body, token);
        if (answer.status !== 503) return answer;
        await sleep(PAUSE_MS);
      }
    },
    form: async (url, fields) =>
      send(
        url,
        { "content-type": "application/x-www-form-urlencoded" },
        new URLSearchParams(fields).toString(),
      ),
    close: () => {
      agent.destroy();
    },
  };
}
