import { connect } from "node:net";
import { expect, test } from "@jest/globals";
import express from "express";
import { systemClock } from "../../../lib/clock.ts";
import { listen } from "../../../lib/http.ts";
import type { Pages } from "../../../runbooks/pages/types.ts";
import { addAuditRoutes } from "../../../runbooks/routes/audit-pages.ts";
import { guardedRoutes, type GuardedRoutes } from "../../../runbooks/routes/guarded.ts";
import { addStreamRoutes } from "../../../runbooks/routes/stream.ts";
import { waitUntil } from "../../fakes/fettle.ts";

interface GivenRoutes {
  readonly url: string;
  /** Answers that are over, in whatever way. */
  readonly closed: () => number;
  /** Asks, and leaves while the database is asked; returns when the answer is over on our side. */
  readonly askAndLeave: (path: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Routes of the pages, on a database that gives these rows, and only when it is let. */
async function givenRoutes(
  add: (guarded: GuardedRoutes, pages: Pages) => void,
  rows: readonly object[],
  more: object = {},
): Promise<GivenRoutes> {
  let [asked, closed] = [0, 0];
  let gate = Promise.resolve();
  const query = async () => {
    asked += 1;
    await gate;
    return { rows, rowCount: rows.length };
  };
  const viewer = { kind: "token", csrf: undefined, until: undefined } as const;
  const access = { viewerOf: () => viewer, signIn: () => undefined, canSignIn: false };
  const app = express();
  app.use((_request, response, next) => {
    response.on("close", () => (closed += 1));
    next();
  });
  const pages = { clock: systemClock, database: { query }, ...more };
  add(guardedRoutes(app, access), pages as unknown as Pages);
  const server = await listen(app, { host: "127.0.0.1", port: 0 });
  const { url } = server;
  return {
    url,
    closed: () => closed,
    stop: async () => server.stop(),
    askAndLeave: async (path) => {
      const before = { asked, closed };
      let letGo: () => void = () => undefined;
      gate = new Promise((resolve) => {
        letGo = resolve;
      });
      const leaving = new AbortController();
      const answer = fetch(`${url}${path}`, { signal: leaving.signal }).catch(() => undefined);
      await waitUntil("the question", async () => asked > before.asked);
      leaving.abort();
      await answer;
      await waitUntil("the end of the connection", async () => closed > before.closed);
      letGo();
      await new Promise(setImmediate);
    },
  };
}

function auditRow(detail: object): object {
  const nothing = { runId: null, namespace: null, app: null, target: null, action: null };
  const unchained = { correlationId: null, traceId: null, hash: null };
  const told = { id: "1", at: new Date(0), event: "request", actor: "ana", detail };
  return { ...told, ...nothing, ...unchained };
}

test("exports whose readers left while they were read make room for the next one", async () => {
  const routes = await givenRoutes(addAuditRoutes, [auditRow({})]);
  try {
    for (const format of ["csv", "json", "csv"])
      await routes.askAndLeave(`/audit/export?format=${format}`);
    const next = await fetch(`${routes.url}/audit/export?format=csv`);

    expect([next.status, await next.text()]).toEqual([200, expect.stringContaining('"request"')]);
  } finally {
    await routes.stop();
  }
});

test("exports whose readers read no more are cut off, and make room for the next one", async () => {
  const rows = Array.from({ length: 200 }, () => auditRow({ why: "x".repeat(100_000) }));
  let naps = 0;
  const sleep = async (_ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      naps += 1;
      if (naps <= 2) resolve(); // the time of those who sleep is up
      signal.addEventListener("abort", () => {
        resolve();
      });
    });
  const routes = await givenRoutes(addAuditRoutes, rows, { clock: { sleep } });
  const sleepers = [1, 2].map(() => connect(Number(new URL(routes.url).port), "127.0.0.1"));
  try {
    for (const socket of sleepers) {
      socket.on("error", () => undefined).pause();
      socket.write("GET /audit/export?format=csv HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    await waitUntil("their end", async () => routes.closed() === 2);
    const next = await fetch(`${routes.url}/audit/export?format=csv`);

    expect(next.status).toBe(200);
    expect((await next.text()).match(/\r\n/g)).toHaveLength(201); // the header, and every row
  } finally {
    for (const socket of sleepers) socket.destroy();
    await routes.stop();
  }
});

test("who leaves before a stream begins is not watched for", async () => {
  let watched = 0;
  const watch = { join: () => ((watched += 1), () => undefined) };
  const routes = await givenRoutes(addStreamRoutes, [{ id: "run_1" }], { watch });
  try {
    await routes.askAndLeave("/runs/run_1/stream");

    expect(watched).toBe(0);
  } finally {
    await routes.stop();
  }
});
