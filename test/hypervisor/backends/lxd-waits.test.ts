import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { z } from "zod";
import { lxdClient } from "../../../hypervisor/backends/lxd/client.ts";
import { until } from "./contract/subject.ts";

test("forty operations that are waited for leave room to ask for something else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fettle-lxd-"));
  let waits = 0;
  const server = createServer((request, response) => {
    if (request.url?.includes("/wait") === true) waits += 1;
    else response.end(JSON.stringify({ type: "sync", metadata: ["/1.0/instances/web"] }));
  });
  const socket = join(folder, "lxd.socket");
  server.listen(socket);
  await once(server, "listening");
  const client = lxdClient({ socket });
  const caller = new AbortController();
  const ends = Array.from({ length: 40 }, async (_, at) =>
    client.finished(`op-${at}`, caller.signal).catch(() => "ended"),
  );
  await until(async () => Promise.resolve(waits >= 32));

  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, 5_000);
  const list = { path: "/1.0/instances", signal: late.signal };
  const listed = await client.read(z.array(z.string()), list).catch(String);
  clearTimeout(timer);
  caller.abort();
  const told = new Set(await Promise.all(ends));
  await client.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });

  expect(listed).toEqual(["/1.0/instances/web"]);
  expect(told).toEqual(new Set(["ended"]));
});
