import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import pg from "pg";
import { startEmbeddedPostgres } from "../../lib/embedded-postgres.ts";
import { silentLog } from "../../lib/log.ts";
import { PATIENCE_MS } from "../fakes/fettle.ts";

async function query(url: string, sql: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined); // a server that ends says so to an idle client, too
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test("keeps its data over a restart, and ends with the process that started it, also when that is killed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "embedded-"));
  const program = `
    import { startEmbeddedPostgres } from "./lib/embedded-postgres.ts";
    import { silentLog } from "./lib/log.ts";
    const { url, folder } = await startEmbeddedPostgres(${JSON.stringify(folder)}, silentLog);
    console.log(JSON.stringify({ url, folder }));
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { url, folder: home } = JSON.parse(line.toString()) as { url: string; folder: string };
  await query(url, "CREATE TABLE kept AS SELECT 42 AS n");

  child.kill("SIGKILL");
  await expect(refuses(url)).resolves.toBe(true);
  const again = await startEmbeddedPostgres(folder, silentLog);

  expect(await query(again.url, "SELECT n FROM kept")).toEqual([{ n: 42 }]);
  await again.stop();
  await rm(home, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
});

async function refuses(url: string): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (
      await query(url, "SELECT 1").then(
        () => false,
        () => true,
      )
    )
      return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}
