import { waitUntil } from "../../fakes/fettle.ts";
import { frame, post, type GivenFrame, type GivenService } from "../given-service.ts";

export const API_TOKEN = "pages-test-token-0123456789";
/** Its catalogue gathers no diagnostics: a question is asked at once. */
export const PAGES_ENV = {
  RUNBOOKS_API_TOKEN: API_TOKEN,
  RUNBOOKS_FILE: "test/runbooks/pages/catalog.yaml",
} as const;

const PERSON = { accept: "text/html", authorization: `Bearer ${API_TOKEN}` };

/** What a browser of somebody with the token gets. */
export async function look(
  { url }: Pick<GivenService, "url">,
  path: string,
  headers: Readonly<Record<string, string>> = PERSON,
): Promise<{ readonly status: number; readonly text: string; readonly headers: Headers }> {
  const answer = await fetch(`${url}${path}`, { headers, redirect: "manual" });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

/** What a program with the token gets. */
export async function lookJson(
  { url }: Pick<GivenService, "url">,
  path: string,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const answer = await fetch(`${url}${path}`, {
    headers: { authorization: `Bearer ${API_TOKEN}` },
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

export interface GivenQuestion {
  readonly app: string;
  readonly runId: string;
  readonly approvalId: string;
}

let apps = 0;

/** A run of an app of its own that waits for its answer. */
export async function givenQuestion(
  service: GivenService,
  alert: GivenFrame = {},
): Promise<GivenQuestion> {
  apps += 1;
  const app = `app-${apps}`;
  await post(service, frame({ app, ...alert }));
  const find = async () =>
    (
      await service.database.query<{ id: string; run_id: string }>(
        "SELECT a.id, run_id FROM approvals a JOIN runs r ON r.id = run_id WHERE r.app = $1",
        [app],
      )
    ).rows[0];
  await waitUntil("the question", async () => (await find()) !== undefined);
  const { id = "", run_id: runId = "" } = (await find()) ?? {};
  return { app, runId, approvalId: id };
}

/** What a program with the token gets for a form. */
export async function send(
  { url }: Pick<GivenService, "url">,
  path: string,
  fields: Readonly<Record<string, string>>,
): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_TOKEN}`, accept: "text/html" },
    body: new URLSearchParams(fields),
    redirect: "manual",
  });
}
