import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { createEmptyDatabase } from "../servers/postgres.ts";
import { column, connectTo, folderConfig, rowsOf, tempFolder } from "./given.ts";

let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => folder.remove());

/** What stands in a cell, and what the file shows: only what a spreadsheet would run gets the apostrophe. */
const COMMON = [
  ["=1+1", "'=1+1"],
  ["'=1", "''=1"],
  ["-3", "'-3"],
  ["plain", "plain"],
  ["'quote", "'quote"],
  ["", ""],
] as const;

test.each([
  [
    "EUC_JP",
    [
      ["＝１", "'＝１"],
      ["''＋x", "'''＋x"],
      ["日本語", "日本語"],
      ["＃", "＃"],
    ],
  ],
  [
    "SQL_ASCII",
    [
      ["＝１", "'＝１"],
      ["＃1", "＃1"], // begins with the same byte as the signs
      ["éa", "éa"],
    ],
  ],
  [
    "UTF8",
    [
      ["＝１", "'＝１"],
      ["''＋x", "'''＋x"],
      ["日本語", "日本語"],
      ["🛠", "🛠"],
    ],
  ],
] as const)(
  "a database in %s gives the same cells, formulas made harmless",
  async (encoding, more) => {
    const database = await createEmptyDatabase({ encoding });
    try {
      await migrate(database.url, silentLog);
      const client = await connectTo(database.url);
      const cells = [...COMMON, ...more];
      for (const [value] of cells) {
        const sql = "INSERT INTO runbooks_audit (event, actor, action) VALUES ('x', 'a', $1)";
        await client.query(sql, [value]);
      }
      await client.end();

      const result = await exportOnce(await folderConfig(folder.path, database.url), silentLog);

      const shown = column(await rowsOf(folder.path, result), "action");
      expect(shown).toEqual(cells.map(([, cell]) => cell));
    } finally {
      await database.drop();
    }
  },
);
