import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generatedFiles } from "../generated.ts";
import type { RunTool } from "./programs.ts";

/** amtool accepts the configurations. */
export async function checkAlertmanager(run: RunTool): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-amtool-"));
  try {
    const { output: version } = await run("AMTOOL", ["--version"]);
    const paths = generatedFiles
      .map(({ path }) => path)
      .filter((path) => path.startsWith("ops/alertmanager/"));
    const results = await Promise.all(
      paths.map(async (path, index) => {
        const copy = join(folder, `${index}.yml`);
        await writeFile(copy, forVersion(await readFile(path, "utf8"), version));
        return run("AMTOOL", ["check-config", copy]);
      }),
    );
    return results.filter(({ ok }) => !ok).map(({ output }) => output);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Debian's Alertmanager is older than the webhook's `timeout` (0.28) and refuses a field that it does not know. */
export function forVersion(config: string, versionText: string): string {
  const [, major = "0", minor = "0"] = /version (\d+)\.(\d+)/.exec(versionText) ?? [];
  const knowsTimeout = Number(major) > 0 || Number(minor) >= 28;
  return knowsTimeout ? config : config.replaceAll(/^ *timeout: .*\n/gm, "");
}
