import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";

/** `folder/name`, as the tables call a test: without "test/" and ".test.ts". */
const NAME = /`([a-z0-9][\w-]*\/[\w./-]+)`/g;

test.each(["docs/faults.md", "docs/bad-input.md"])(
  "each test that %s names in its rows is there",
  async (path) => {
    const rows = (await readFile(path, "utf8")).split("\n").filter((line) => line.startsWith("|"));
    const names = rows.flatMap((row) => [...row.matchAll(NAME)].map(([, name]) => name ?? ""));
    const missing = names
      .filter((name) => !name.startsWith("application/"))
      .filter((name) => !existsSync(`test/${name}.test.ts`));

    expect(names.length).toBeGreaterThan(30);
    expect([...new Set(missing)]).toEqual([]);
  },
);
