import type { Database } from "../../lib/postgres.ts";
import type { ChannelName, Digest, Sent } from "../types/notice.ts";
import { keepMessage, setPace, shownOf, type MessageColumns } from "./outbox-message.ts";

/** Requests that wait for a person and are shown one by one; behind them there is one line that counts the rest. */
export const SHOWN_MAX = 5;
const DIGEST_PACE = "10 seconds";
/** The digest's place among the runs' messages. No run has this id. */
const DIGEST = "digest";

/** SQL: how many of the requests that wait are shown in the channel. */
export const SHOWN = `(SELECT count(*) FROM runbooks_messages s JOIN runs r ON r.id = s.run_id
                 WHERE s.channel = $1 AND s.remote_id IS NOT NULL AND r.state = 'approval_pending')`;

/** Undefined while all that wait are shown and always were, and within ten seconds after it was said. */
export async function digest(
  database: Database,
  channel: ChannelName,
): Promise<Digest | undefined> {
  return database.inTransaction(async (tx) => {
    const { rowCount: ready } = await tx.query(
      "SELECT 1 FROM runbooks_channels WHERE channel = $1 AND next_at <= now() FOR UPDATE SKIP LOCKED",
      [channel],
    );
    if (ready === 0) return undefined;
    const { rows } = await tx.query<DigestRow>(
      `SELECT w.waiting, least(w.waiting, ${SHOWN})::int AS shown, m.run_id IS NOT NULL AS has_message,
              m.remote_id, m.remote_channel, m.rendered_sha256
         FROM (SELECT count(*)::int AS waiting FROM runs WHERE state = 'approval_pending' AND finished_at IS NULL) w
         LEFT JOIN runbooks_messages m ON m.run_id = '${DIGEST}' AND m.channel = $1
        WHERE m.sent_at IS NULL OR m.sent_at <= now() - interval '${DIGEST_PACE}'`,
      [channel],
    );
    const [row] = rows;
    const needed = row !== undefined && (row.has_message || needsDigest(row));
    if (!needed) return undefined;
    await setPace(tx, channel);
    const message = row.has_message ? shownOf(row) : undefined;
    return { waiting: row.waiting, shown: row.shown, message };
  });
}

interface DigestRow extends MessageColumns {
  readonly waiting: number;
  readonly shown: number;
  readonly has_message: boolean;
}

/** Fewer are shown for a moment after each request; only a full screen says that some stay unshown. */
function needsDigest({ waiting, shown }: DigestRow): boolean {
  return shown >= SHOWN_MAX && waiting > shown;
}

/** The line was said. Once everything is shown again it is forgotten, and the next storm has a line of its own. */
export async function digestShown(
  database: Database,
  channel: ChannelName,
  { waiting, shown }: Digest,
  sent: Sent,
): Promise<void> {
  await keepMessage(database, DIGEST, channel, sent);
  if (waiting > shown) return;
  await database.query("DELETE FROM runbooks_messages WHERE run_id = $1 AND channel = $2", [
    DIGEST,
    channel,
  ]);
}
