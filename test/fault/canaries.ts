import type { Database } from "../../lib/postgres.ts";

/** Values that must stand nowhere in what a service prints, stores or sends. */
export const CANARIES = {
  token: "canary-webhook-token-5f2c",
  approvalSecret: "canary-approval-secret-0123456789abcdef",
  databasePassword: "canary-database-password",
  clusterToken: "canary-cluster-token",
} as const;

export function canariesIn(text: string): readonly string[] {
  return Object.values(CANARIES).filter((canary) => text.includes(canary));
}

/** 9: looks into every column of every table, the job engine's included; bytes count as well. */
export async function canariesInDatabase(database: Database): Promise<readonly string[]> {
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
      WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
  );
  // In a row's text bytes are hexadecimal digits.
  const forms = Object.values(CANARIES).flatMap((one) => [one, Buffer.from(one).toString("hex")]);
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await database.query<{ form: string }>(
      `SELECT form FROM unnest($1::text[]) form WHERE EXISTS (
         SELECT 1 FROM ${name} t WHERE strpos(t::text, form) > 0)`,
      [forms],
    );
    found.push(...rows.map(({ form }) => `the table ${name} holds ${form}`));
  }
  return found;
}
