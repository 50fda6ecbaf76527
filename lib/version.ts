import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** The version of the running code, as it stands in decision records and `fettle --version`. */
export const version: string = manifest.version;
