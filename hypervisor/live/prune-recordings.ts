import type { Database } from "../../lib/postgres.ts";
import { appendDeed } from "../frame/record.ts";
import { deleteRecording, recordingsBefore } from "./recordings.ts";

const DAY_MS = 86_400_000;
/** What one row of the record names. */
const AT_ONCE_MAX = 100;

/** Deletes this host's recordings that are older than so many days, on record. @returns how many */
export async function pruneRecordings(
  database: Database,
  { folder, days, now }: { readonly folder: string; readonly days: number; readonly now: Date },
): Promise<number> {
  const old = await recordingsBefore(folder, new Date(now.getTime() - days * DAY_MS));
  const sessions = old.slice(0, AT_ONCE_MAX);
  if (sessions.length === 0) return 0;
  const summary = `Deletes ${sessions.length} recordings of terminals that are older than ${days} days`;
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
