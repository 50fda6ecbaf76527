import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Azurite {
  readonly host: string;
  readonly port: number;
  /** @param at where it is reached, when that is a proxy */
  readonly connectionString: (at?: { readonly port: number }) => string;
  readonly stop: () => Promise<void>;
}

const ACCOUNT = "devstoreaccount1";
/** Everybody's: it stands in Azurite's documentation. */
const KEY =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** Microsoft's own emulator of Azure Blob Storage, in memory, on a free port. */
export async function startAzurite(): Promise<Azurite> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-azurite-"));
  const program = createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js");
  const child = spawn(
    process.execPath,
    [
      program,
      ...["--blobPort", "0", "--inMemoryPersistence"],
      ...["--skipApiVersionCheck", "--disableTelemetry"],
    ],
    { stdio: ["ignore", "pipe", "pipe"], cwd: folder },
  );
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    const read = (chunk: Buffer) => {
      said += chunk.toString();
      const [, found] = /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(said) ?? [];
      if (found !== undefined) resolve(Number(found));
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", () => {
      reject(new Error(`azurite ended: ${said}`));
    });
  });
  return {
    host: "127.0.0.1",
    port,
    connectionString: (at = { port }) =>
      `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};BlobEndpoint=http://127.0.0.1:${at.port}/${ACCOUNT};`,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}
