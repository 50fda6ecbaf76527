import type pg from "pg";
import { createTestDatabase } from "../servers/postgres.ts";
import { connectTo, tempFolder } from "./given.ts";

/** What a test of the exporter begins with: an audit trail in a database of its own, and a folder for what comes of it. */
export interface Trail {
  readonly url: string;
  /** For what happens beside the exporter. */
  readonly client: pg.Client;
  readonly folder: string;
  readonly remove: () => Promise<void>;
}

export async function givenTrail(): Promise<Trail> {
  const folder = await tempFolder();
  const database = await createTestDatabase();
  const client = await connectTo(database.url);
  return {
    url: database.url,
    client,
    folder: folder.path,
    remove: async () => {
      await client.end();
      await database.drop();
      await folder.remove();
    },
  };
}
