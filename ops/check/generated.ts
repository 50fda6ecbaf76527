import { readFile } from "node:fs/promises";
import { generatedFiles, renderFile } from "../generated.ts";

/** What is checked in is what the programs write. */
export async function checkGenerated(): Promise<readonly string[]> {
  const stale = await Promise.all(
    generatedFiles.map(async (file) => {
      const there = await readFile(file.path, "utf8").catch(() => undefined);
      return there === (await renderFile(file))
        ? []
        : [`${file.path} is not what make generate writes`];
    }),
  );
  return stale.flat();
}
