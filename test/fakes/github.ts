import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface GithubCall {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface FakeGithub {
  readonly url: string;
  readonly token: string;
  readonly calls: GithubCall[];
  readonly issues: { readonly title: string; readonly body: string }[];
  /** `late`: does it, and answers 502. */
  readonly faults: (number | "late")[];
  readonly stop: () => Promise<void>;
}

const TOKEN = "github_pat_fake0123456789";

/** GitHub's REST API as far as Fettle uses it: issues and repository_dispatch of shop/ops. */
export async function startGithub(): Promise<FakeGithub> {
  const calls: GithubCall[] = [];
  const issues: { title: string; body: string }[] = [];
  const faults: (number | "late")[] = [];
  const answer = (call: GithubCall): [status: number, body?: unknown] => {
    if (call.headers["authorization"] !== `Bearer ${TOKEN}`)
      return [401, { message: "Bad credentials" }];
    const [path = ""] = call.path.split("?");
    if (call.method === "GET" && path === "/repos/shop/ops/issues")
      return [200, issues.toReversed()];
    if (path === "/repos/shop/ops/issues") {
      issues.push(call.body as { title: string; body: string });
      return [201, { number: issues.length }];
    }
    const { client_payload: payload = {} } = call.body as { client_payload?: object };
    if (path !== "/repos/shop/ops/dispatches") return [404, { message: "Not Found" }];
    return Object.keys(payload).length > 10 ? [422, { message: "Too many keys" }] : [204];
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      const { method = "", url = "", headers } = request;
      const call = {
        method,
        path: url,
        headers,
        body: text === "" ? {} : (JSON.parse(text) as unknown),
      };
      calls.push(call);
      const fault = faults.shift();
      const [status, body] = typeof fault === "number" ? [fault] : answer(call);
      response
        .writeHead(fault === "late" ? 502 : status, { "content-type": "application/json" })
        .end(body === undefined ? "" : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    token: TOKEN,
    calls,
    issues,
    faults,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
