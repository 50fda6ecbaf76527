import type { Database, Queryable } from "../../lib/postgres.ts";
import { appendAudit } from "../audit.ts";
import type { PolicyDocument } from "../types/policy.ts";

/** What became of a look at the policy. */
export type PolicyNews =
  | {
      readonly kind: "read";
      readonly document: PolicyDocument;
      readonly changedBy: string | undefined;
      /** This process reads this version for the first time. */
      readonly isNew: boolean;
    }
  | { readonly kind: "problem"; readonly problem: string };

/** Writes down what is in force, and a row of the record when it is another policy than before. */
export async function recordPolicy(news: PolicyNews, database: Database): Promise<void> {
  await database.inTransaction(async (tx) => {
    await tx.query("INSERT INTO policy_state (id) VALUES (1) ON CONFLICT DO NOTHING");
    if (news.kind === "problem") {
      await tx.query("UPDATE policy_state SET problem = $1 WHERE id = 1", [news.problem]);
      return;
    }
    const { document, changedBy, isNew } = news;
    const { sha256, source } = document;
    await tx.query(
      `INSERT INTO policy_versions (sha256, source, document, changed_by) VALUES ($1, $2, $3, $4)
       ON CONFLICT DO NOTHING`,
      [sha256, source, JSON.stringify(document), changedBy ?? null],
    );
    const { rows } = await tx.query<{ sha256: string | null }>(
      "SELECT sha256 FROM policy_state WHERE id = 1 FOR UPDATE",
    );
    const before = rows[0]?.sha256 ?? null;
    await tx.query(
      "UPDATE policy_state SET sha256 = $1, read_at = now(), problem = NULL WHERE id = 1",
      [sha256],
    );
    // While two releases run side by side each writes its own: only what is new to a process is told.
    if (!isNew || before === sha256) return;
    await appendAudit(tx, NO_RUN, [
      {
        event: "policy_changed",
        actor: changedBy ?? source,
        detail: { from: before, to: sha256, source },
      },
    ]);
  });
}

const NO_RUN = { id: null, namespace: null, app: null, targetKey: null } as const;

/** The policy as the executor read it last. */
export interface StoredPolicy {
  readonly document: PolicyDocument;
  readonly readAt: Date;
  /** By the database's clock. */
  readonly ageSeconds: number;
  readonly firstSeen: Date;
  readonly changedBy: string | null;
  /** Why the newest text cannot be read, while it cannot. */
  readonly problem: string | null;
}

/** Undefined when no executor has read one yet; then `problem` says why, if it is known. */
export async function storedPolicy(
  database: Queryable,
): Promise<StoredPolicy | { readonly document: undefined; readonly problem: string | null }> {
  const { rows } = await database.query<StoredPolicy>(
    `SELECT v.document, s.read_at AS "readAt", v.first_seen AS "firstSeen", v.changed_by AS "changedBy", s.problem,
            extract(epoch FROM now() - s.read_at)::float AS "ageSeconds"
       FROM policy_state s JOIN policy_versions v USING (sha256)`,
  );
  const [stored] = rows;
  if (stored !== undefined) return stored;
  const { rows: states } = await database.query<{ problem: string | null }>(
    "SELECT problem FROM policy_state",
  );
  return { document: undefined, problem: states[0]?.problem ?? null };
}
