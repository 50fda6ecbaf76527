import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/**
 * Below Linux's ephemeral range (32768-60999), so that no outgoing connection can take a server's port while the
 * server is down, which fault tests do on purpose.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES_MAX = 200;

/** A loopback port that is free now and that no other process of this run will be given. */
export async function claimPort(workspace: string): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (claim(workspace, port) && (await isFree(port))) return port;
  }
  throw new Error(`no free port between ${LOWEST} and ${HIGHEST} after ${TRIES_MAX} tries`);
}

function claim(workspace: string, port: number): boolean {
  try {
    writeFileSync(join(workspace, "ports", String(port)), "", { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  probe.close();
  await once(probe, "close");
  return true;
}
