import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { linkToken } from "../../runbooks/approval/links.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { APPROVAL_SECRET, frame, givenService, post } from "./given-service.ts";
import type { GivenFrame, GivenService } from "./given-service.ts";

/** Text that would be more than text in HTML if it were not escaped. */
const HOSTILE = `<script>alert(1)</script>"><img src=x onerror='alert(2)'></dd>&lt;`;
const HOSTILE_APPROVER = "<b>eve</b>";

let service: GivenService;
let apps = 0;

beforeAll(async () => {
  service = await givenService({
    RUNBOOK_APPROVERS: `ana,ivan,${HOSTILE_APPROVER}`,
    RUNBOOK_AUTOFIX_POLICY: "latency_p99=rollout_restart",
  });
});
afterAll(async () => service.stop());

interface Request {
  readonly app: string;
  readonly runId: string;
  readonly approvalId: string;
  readonly tokenOf: (approver: string) => Promise<string>;
}

/** A run of its own that waits for its answer. */
async function givenRequest(alert: GivenFrame = {}): Promise<Request> {
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
  return {
    app,
    runId,
    approvalId: id,
    tokenOf: async (approver) => {
      const approval = await findApproval(id, service.database);
      if (approval === undefined) throw new Error("the request is gone");
      return linkToken(approval, approver, new Secret(APPROVAL_SECRET));
    },
  };
}

async function look(id: string, token: string, method = "GET", verdict = "approve") {
  const query = new URLSearchParams({ id, token }).toString();
  return fetch(`${service.url}/${verdict}?${query}`, { method });
}

async function press(
  verdict: "approve" | "reject",
  fields: Readonly<Record<string, string>>,
): Promise<Response> {
  return fetch(`${service.url}/${verdict}`, { method: "POST", body: new URLSearchParams(fields) });
}

async function stateOf({ runId }: Request): Promise<string | undefined> {
  const { rows } = await service.database.query<{ state: string }>(
    "SELECT state FROM runs WHERE id = $1",
    [runId],
  );
  return rows[0]?.state;
}

function patchesOf({ app }: Request): number {
  return service.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${app}`)).length;
}

describe("looking at the page", () => {
  test("shows who is asked, for what, until when, and why", async () => {
    const request = await givenRequest({ annotations: { summary: "p99 is 0.9 s, usually 0.3 s" } });

    const page = await look(request.approvalId, await request.tokenOf("ana"));
    const text = await page.text();

    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    for (const shown of [
      "<strong>ana</strong>",
      `Restart the 3 pods of shop/${request.app}, one after the other`,
      `default/shop/deployment/${request.app}`,
      "p99 is 0.9 s, usually 0.3 s",
      request.runId,
    ]) {
      expect(text).toContain(shown);
    }
    expect(text).toMatch(/<time datetime="20\d\d-/);
  });

  test("decides nothing, by GET or HEAD, however often and by whatever fetches links", async () => {
    const request = await givenRequest();
    const token = await request.tokenOf("ana");

    for (const method of ["GET", "HEAD", "GET"])
      for (const verdict of ["approve", "reject"])
        expect((await look(request.approvalId, token, method, verdict)).status).toBe(200);

    expect(await stateOf(request)).toBe("approval_pending");
  });

  test("leaves no trace of the link: not stored, not passed on, not framed, not in the log", async () => {
    const request = await givenRequest();
    const token = await request.tokenOf("ana");

    const { headers } = await look(request.approvalId, token);

    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")?.split(";")).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "script-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
      ]),
    );
    expect(service.log.text()).not.toContain(token);
  });

  test("shows hostile labels and annotations, and names, as the text that they are", async () => {
    const evidence = { summary: HOSTILE, sparkline: HOSTILE, zscore: HOSTILE, delta: HOSTILE };
    const request = await givenRequest({ labels: { reason: HOSTILE }, annotations: evidence });

    const page = await look(request.approvalId, await request.tokenOf(HOSTILE_APPROVER));
    const text = await page.text();

    expect(page.status).toBe(200);
    expect(text).not.toMatch(/<script(?! src="\/assets\/pages\.js" defer>)|<img|<b>|onerror='/);
    const escaped =
      "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;&lt;/dd&gt;&amp;lt;";
    // summary, sparkline, z-score, and the reason in what fired and in the evidence
    expect(text.split(escaped)).toHaveLength(1 + 5);
  });

  test("its style sheet is a file of its own, as the policy of the page demands", async () => {
    const sheet = await fetch(`${service.url}/assets/fettle.css`);

    expect([sheet.status, sheet.headers.get("content-type")]).toEqual([
      200,
      "text/css; charset=utf-8",
    ]);
  });
});

describe("pressing the button", () => {
  test("approves once: the run goes on, and whoever comes second is told by whom", async () => {
    const request = await givenRequest();
    const { approvalId: id } = request;
    const token = await request.tokenOf("ana");

    const first = await press("approve", { id, token, reason: "seen it before" });
    const again = await press("approve", { id, token });
    const other = await press("reject", { id, token: await request.tokenOf("ivan") });
    const later = await look(id, token);

    expect([first.status, again.status, other.status, later.status]).toEqual([200, 409, 409, 409]);
    for (const page of [again, other, later])
      expect(await page.text()).toContain("approved by ana");
    await waitUntil("the patch", async () => patchesOf(request) === 1);
    const { rows } = await service.database.query(
      "SELECT actor, detail FROM runbooks_audit WHERE run_id = $1 AND event = 'approved'",
      [request.runId],
    );
    expect(rows).toMatchObject([
      { actor: "ana", detail: { via: "page", reason: "seen it before" } },
    ]);
  });

  test("is refused when the browser says that the form stands on another site", async () => {
    const { approvalId: id, ...request } = await givenRequest();
    const token = await request.tokenOf("ana");
    const fields = new URLSearchParams({ id, token });
    const from = async (site: string) =>
      fetch(`${service.url}/approve`, {
        method: "POST",
        body: fields,
        headers: { "sec-fetch-site": site },
      });

    expect((await from("cross-site")).status).toBe(403);
    expect((await from("same-site")).status).toBe(403);
    expect((await from("same-origin")).status).toBe(200);
  });

  test("takes the whole link that a person pastes into the page of the request", async () => {
    const request = await givenRequest();
    const { approvalId: id } = request;
    const query = new URLSearchParams({ id, token: await request.tokenOf("ana") }).toString();

    const answer = await press("approve", {
      id,
      token: ` https://fettle.example/approve?${query}`,
    });

    expect(answer.status).toBe(200);
    await waitUntil("the patch", async () => patchesOf(request) === 1);
  });

  test("rejects: the run has ended, and nothing is changed in the cluster", async () => {
    const request = await givenRequest();
    const { approvalId: id } = request;

    const answer = await press("reject", { id, token: await request.tokenOf("ivan") });

    expect(answer.status).toBe(200);
    expect(await stateOf(request)).toBe("rejected");
    expect(patchesOf(request)).toBe(0);
  });

  test("counts once when 64 people press at the same moment", async () => {
    const request = await givenRequest();
    const { approvalId: id } = request;
    const tokens = [await request.tokenOf("ana"), await request.tokenOf("ivan")];

    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, at) =>
        press(at % 3 === 0 ? "reject" : "approve", { id, token: tokens[at % 2] ?? "" }),
      ),
    );

    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 409)).toHaveLength(63);
  });

  test("after the expiry comes too late: time never approves", async () => {
    const request = await givenRequest();
    const { approvalId: id } = request;
    await service.database.query(
      "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE id = $1",
      [id],
    );
    const token = await request.tokenOf("ana");

    const seen = await look(id, token);
    const pressed = await press("approve", { id, token });

    expect([seen.status, pressed.status]).toEqual([409, 409]);
    for (const page of [seen, pressed]) expect(await page.text()).toContain("is expired");
    expect(patchesOf(request)).toBe(0);
  });
});

describe("a link that is not the approver's own", () => {
  test.each<[string, (own: Request, other: Request) => Promise<Record<string, string>>]>([
    ["no token", async ({ approvalId: id }) => ({ id })],
    ["no request", async (own) => ({ token: await own.tokenOf("ana") })],
    ["an empty token", async ({ approvalId: id }) => ({ id, token: "" })],
    [
      "a forged token",
      async ({ approvalId: id }) => ({ id, token: Buffer.alloc(32).toString("base64url") }),
    ],
    [
      "a truncated token",
      async (own) => ({ id: own.approvalId, token: (await own.tokenOf("ana")).slice(0, -1) }),
    ],
    [
      "another request's token",
      async (own, other) => ({ id: own.approvalId, token: await other.tokenOf("ana") }),
    ],
    [
      "the token of somebody who may not approve",
      async (own) => ({ id: own.approvalId, token: await own.tokenOf("mallory") }),
    ],
    [
      "the token of a request that does not exist",
      async (own) => ({ id: "apr_0", token: await own.tokenOf("ana") }),
    ],
    ["nonsense instead of an id", async () => ({ id: "' OR 1=1 --", token: "x".repeat(10_000) })],
  ])("with %s gets 403, is told nothing, and decides nothing", async (_name, fieldsOf) => {
    const [own, other] = await shared();
    const fields = await fieldsOf(own, other);

    const pressed = await press("approve", fields);
    const seen = await fetch(`${service.url}/approve?${new URLSearchParams(fields).toString()}`);

    for (const answer of [pressed, seen]) {
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ title: "Unknown link" });
    }
    expect([await stateOf(own), await stateOf(other)]).toEqual([
      "approval_pending",
      "approval_pending",
    ]);
  });

  let requests: Promise<[Request, Request]> | undefined;
  async function shared(): Promise<[Request, Request]> {
    requests ??= Promise.all([givenRequest(), givenRequest()]);
    return requests;
  }
});
