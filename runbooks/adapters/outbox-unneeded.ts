import type { Queryable } from "../../lib/postgres.ts";
import { QUIET_STATES } from "../notify/message.ts";
import type { ChannelName } from "../types/notice.ts";
import { SHOWN_MAX } from "./outbox-digest.ts";

/** Rows of one round, so that it stays far below the statement timeout; each look at the channel has a round. */
const UNNEEDED_MAX = 2_000;
const SKIPS_WITHIN = "10 minutes";

/**
 * What is not to be sent at all: a message that a newer one replaces, a line below a message that never was and will not
 * be, and the second channel's letter when the first one has shown the news.
 */
export async function settleUnneeded(tx: Queryable, channel: ChannelName): Promise<void> {
  await tx.query(
    `UPDATE runbooks_outbox SET result = 'superseded', sent_at = now() WHERE id IN (
       SELECT o.id FROM runbooks_outbox o
      WHERE o.channel = $1 AND o.result IS NULL AND (o.lease_until IS NULL OR o.lease_until <= now()) AND (
        o.kind = 'message' AND EXISTS (
          SELECT FROM runbooks_outbox newer WHERE newer.run_id = o.run_id AND newer.channel = o.channel
             AND newer.kind = 'message' AND newer.id > o.id AND newer.result IS NULL)
        OR o.kind = 'thread' AND o.next_at <= now() AND NOT EXISTS (
          SELECT FROM runbooks_messages m WHERE m.run_id = o.run_id AND m.channel = o.channel)
          AND NOT EXISTS (SELECT FROM runbooks_outbox x WHERE x.run_id = o.run_id AND x.channel = o.channel
             AND x.kind = 'message' AND x.result IS NULL)
        OR o.fallback AND o.next_at <= now() AND NOT ${FIRST_FAILS}
        OR ${NEVER_TOLD}
        OR ${TOO_MANY_SKIPS})
      ORDER BY o.id LIMIT ${UNNEEDED_MAX})`,
    [channel, QUIET_STATES],
  );
}

/** SQL: a run that has asked nobody and done nothing; a storm has thousands of them. */
const NEVER_TOLD = `o.kind <> 'thread' AND EXISTS (SELECT FROM runs r WHERE r.id = o.run_id AND r.state = ANY($2))
  AND NOT EXISTS (SELECT FROM approvals a WHERE a.run_id = o.run_id)
  AND NOT EXISTS (SELECT FROM runbooks_messages m WHERE m.run_id = o.run_id AND m.channel = o.channel)`;

/** SQL: runs that ended before anybody was asked; in a storm a few stand for all, which the pages list. */
const TOO_MANY_SKIPS = `o.kind <> 'thread' AND o.event LIKE 'skipped_%'
  AND NOT EXISTS (SELECT FROM approvals a WHERE a.run_id = o.run_id)
  AND NOT EXISTS (SELECT FROM runbooks_messages m WHERE m.run_id = o.run_id AND m.channel = o.channel)
  AND (SELECT count(*) FROM runbooks_outbox d WHERE d.channel = $1 AND d.kind <> 'thread' AND d.event LIKE 'skipped_%'
          AND d.result = 'delivered' AND d.sent_at > now() - interval '${SKIPS_WITHIN}') >= ${SHOWN_MAX}`;

/** SQL: the first channel has not shown the news, and does not because it fails: not because it is busy. */
const FIRST_FAILS = `(
  NOT EXISTS (SELECT FROM runbooks_messages m WHERE m.run_id = o.run_id AND m.channel = 'slack' AND m.sent_at >= o.created_at)
  AND (EXISTS (SELECT FROM runbooks_channels c WHERE c.channel = 'slack' AND c.failing_since IS NOT NULL)
    OR EXISTS (SELECT FROM runbooks_outbox x WHERE x.run_id = o.run_id AND x.channel = 'slack'
        AND x.notice_id = o.notice_id AND x.result IN ('refused', 'gave_up'))))`;
