import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

/** Every YAML file below ops/ is YAML with each key once; the other checks say more about some of them. */
export async function checkYaml(): Promise<readonly string[]> {
  const names = (await readdir("ops", { recursive: true })).filter((name) => /\.ya?ml$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const documents = parseAllDocuments(await readFile(join("ops", name), "utf8"));
      const errors = Array.isArray(documents)
        ? documents.flatMap((document) => document.errors)
        : [];
      return errors.map(({ message }) => `ops/${name}: ${message}`);
    }),
  );
  return found.flat();
}
