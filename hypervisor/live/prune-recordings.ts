import type { Database } from "../../lib/postgres.ts";
import { appendDeed } from "../frame/record.ts";
import { deleteRecording, listRecordings } from "./recordings.ts";

const DAY_MS = 86_400_000;
const MEGABYTE = 1_000_000;
/** What one row of the record names. */
const AT_ONCE_MAX = 100;

interface Pruning {
  readonly folder: string;
  readonly days: number;
  readonly megabytes: number;
  readonly now: Date;
}

/**
 * Deletes this host's recordings that are older than so many days, and the oldest while there are more than so many megabytes,
 * on record. Nobody makes room by noise on the same day: what is that young stays. @returns how many
 */
export async function pruneRecordings(database: Database, pruning: Pruning): Promise<number> {
  const { folder, days, megabytes } = pruning;
  const sessions = (await superfluous(pruning)).slice(0, AT_ONCE_MAX);
  if (sessions.length === 0) return 0;
  const summary = `Deletes ${sessions.length} recordings of terminals: those older than ${days} days, and the oldest beyond ${megabytes} MB`;
  const record = async (result: "Started" | "Success"): Promise<void> =>
    appendDeed(database, {
      actor: "fettle",
      action: "RecordingsPruned",
      resource: "system",
      id: "recordings",
      result,
      summary,
      facts: { sessions },
      ip: "local",
      organization: undefined,
    });
  await record("Started"); // before: what is missing was deleted by us
  for (const session of sessions) await deleteRecording(folder, session);
  await record("Success");
  return sessions.length;
}

async function superfluous({ folder, days, megabytes, now }: Pruning): Promise<readonly string[]> {
  const recordings = await listRecordings(folder);
  let excess = recordings.reduce((sum, { bytes }) => sum + bytes, 0) - megabytes * MEGABYTE;
  const chosen: string[] = [];
  for (const { session, bytes, writtenAt } of recordings) {
    const age = now.getTime() - writtenAt.getTime();
    if (age <= days * DAY_MS && (excess <= 0 || age <= DAY_MS)) break;
    chosen.push(session);
    excess -= bytes;
  }
  return chosen;
}
