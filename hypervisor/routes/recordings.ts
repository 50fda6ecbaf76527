import { z } from "zod";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { appendDeed } from "../frame/record.ts";
import type { Router } from "../frame/router.ts";
import { openRecording, SESSION_ID } from "../live/recordings.ts";

export interface RecordingDeps {
  readonly database: Queryable;
  /** Where sessions are recorded; undefined: they are not. */
  readonly recordingsDir: string | undefined;
  readonly log: Log;
}

const MEDIA = "application/x-asciicast";

/** Where a session's recording is read. */
export function recordingPath(session: string): string {
  return `/api/v1/terminals/${session}/recording`;
}

/** `/api/v1/terminals/{session}/recording`: what was shown, for those who look into what happened. */
export function addRecordingRoutes(router: Router, deps: RecordingDeps): void {
  const { database, recordingsDir: folder, log } = deps;
  router.route(
    {
      method: "get",
      path: recordingPath(":session"),
      permission: "audit:recordings",
      summary: "a terminal session's recording (asciicast v2), as the audit rows name it",
      params: z.strictObject({
        session: z.string().regex(SESSION_ID, { error: "is no session's id" }),
      }),
      answers: { 200: { media: MEDIA } },
    },
    async ({ params: { session }, principal, ip }) => {
      const row = await findSession(database, session);
      const own = [undefined, row?.organization].includes(principal.organization);
      if (row === undefined || !own) throw notThere("There is no such session.");
      const stored = folder === undefined ? undefined : await openRecording(folder, session);
      if (stored === undefined)
        throw notThere(
          "It was not recorded, its recording was deleted, or another replica has it.",
        );
      try {
        const altered = row.sha256 !== null && row.sha256 !== stored.sha256;
        await appendDeed(database, {
          actor: principal.name,
          action: "RecordingRead",
          resource: "container",
          id: row.container,
          result: altered ? "Failure" : "Success",
          summary: altered
            ? "The recording of a terminal is not what was recorded: its SHA-256 differs"
            : "Read the recording of a terminal",
          facts: { session, sha256: stored.sha256 },
          ip,
          organization: row.organization ?? principal.organization,
          token: principal.token,
        });
        if (altered) {
          log.error("recording was altered", { session, recorded: row.sha256 });
          throw new HttpProblem(
            409,
            "Conflict",
            "The recording is not what was recorded: its SHA-256 is not that of the audit row.",
          );
        }
        const headers = {
          "content-disposition": `attachment; filename="${session}.cast"`,
          "content-length": String(stored.bytes),
        };
        return { status: 200, body: stored.content(), headers };
      } catch (error) {
        await stored.close();
        throw error;
      }
    },
  );
}

interface SessionRow {
  readonly container: string;
  readonly organization: string | null;
  /** Null while it goes on, and when its process died. */
  readonly sha256: string | null;
}

async function findSession(database: Queryable, session: string): Promise<SessionRow | undefined> {
  const { rows } = await database.query<SessionRow>(
    `SELECT detail ->> 'resource_id' AS container, namespace AS organization,
            detail -> 'facts' ->> 'sha256' AS sha256
       FROM runbooks_audit
      WHERE event IN ('TerminalOpened', 'TerminalClosed') AND detail -> 'facts' ->> 'session' = $1
        AND detail ? 'resource_type'
      ORDER BY id DESC LIMIT 1`,
    [session],
  );
  return rows[0];
}

function notThere(detail: string): HttpProblem {
  return new HttpProblem(404, "Not found", detail);
}
