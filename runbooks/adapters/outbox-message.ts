import type { Queryable } from "../../lib/postgres.ts";
import type { ChannelName, Sent, ShownMessage } from "../types/notice.ts";

/** Slack's own limit of messages per channel; the others are as patient. */
const PACE = "1 second";

/** The next letter of the channel leaves a second later. */
export async function setPace(tx: Queryable, channel: ChannelName): Promise<void> {
  await tx.query(
    `UPDATE runbooks_channels SET next_at = now() + interval '${PACE}' WHERE channel = $1`,
    [channel],
  );
}

/** What a row of runbooks_messages says about its message. */
export interface MessageColumns {
  readonly remote_id: string | null;
  readonly remote_channel: string | null;
  readonly rendered_sha256: string | null;
}

export function shownOf(row: MessageColumns): ShownMessage {
  return {
    remoteId: row.remote_id ?? undefined,
    remoteChannel: row.remote_channel ?? undefined,
    sha256: row.rendered_sha256 ?? undefined,
  };
}

/** A message was posted or edited. */
export async function keepMessage(
  tx: Queryable,
  runId: string,
  channel: ChannelName,
  sent: Sent,
): Promise<void> {
  const { message } = sent ?? {};
  if (message === undefined) return;
  await tx.query(
    `INSERT INTO runbooks_messages (run_id, channel, remote_id, remote_channel, rendered_sha256, posted_at, sent_at)
     VALUES ($1, $2, $3, $4, $5, now(), now())
     ON CONFLICT (run_id, channel) DO UPDATE SET remote_id = excluded.remote_id, remote_channel = excluded.remote_channel,
       rendered_sha256 = excluded.rendered_sha256, sent_at = now(), posted_at = coalesce(runbooks_messages.posted_at, now())`,
    [
      runId,
      channel,
      message.remoteId ?? null,
      message.remoteChannel ?? null,
      message.sha256 ?? null,
    ],
  );
}
