// `make generate`: writes the files that are made by programs.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { generatedFiles, renderFile } from "./generated.ts";

for (const { path, render } of generatedFiles) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await renderFile({ path, render }));
}
