import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { sha256Hex } from "../../../lib/canonical.ts";
import { signBody } from "../../../lib/signature.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { frame, givenService, post, TOKEN, type GivenService } from "../given-service.ts";

const TEAM = "awh_team-a-token";
const SILENCED = "awh_nobody-token";
const GRAFANA_KEY = "grafana-signing-key";

const folder = mkdtempSync(join(tmpdir(), "fettle-senders-"));
let service: GivenService;

beforeAll(async () => {
  const file = join(folder, "sources.yaml");
  writeFileSync(join(folder, "key"), GRAFANA_KEY);
  writeFileSync(
    file,
    `sources:
  - { name: team-a, kind: bearer, sha256: [${sha256Hex(TEAM)}], namespaces: [team-a] }
  - { name: nobody, kind: bearer, sha256: [${sha256Hex(SILENCED)}], namespaces: [] }
  - { name: grafana, kind: hmac, key_files: [${join(folder, "key")}] }
  - { name: mesh, kind: mtls, names: [am.example] }
`,
  );
  service = await givenService({
    RUNBOOK_SOURCES_FILE: file,
    RUNBOOK_SIGNATURE_TIMESTAMP_HEADER: "X-Time",
    RUNBOOK_TRUSTED_PROXIES: "192.0.2.1",
    RUNBOOK_MTLS_HEADER: "X-Client-Name",
  });
});
afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true });
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function sourceOf(response: Response): Promise<string | undefined> {
  const { id } = (await response.json()) as { id: string };
  const { rows } = await service.database.query<{ source: string }>(
    "SELECT source FROM inbox WHERE id = $1",
    [id],
  );
  return rows[0]?.source;
}

test("a team's token makes the team the sender", async () => {
  expect(await sourceOf(await post(service, frame(), bearer(TEAM)))).toBe("team-a");
});

test("a team's alert about another team's namespace is stored, and starts nothing", async () => {
  const answer = await post(service, frame({ app: "app-9" }), bearer(TEAM));

  expect(answer.status).toBe(202);
  await waitUntil("the record", async () => {
    const { rowCount } = await service.database.query(
      `SELECT 1 FROM runbooks_audit WHERE event = 'skipped_not_allowed' AND actor = 'team-a'
          AND detail->'labels'->>'app' = 'app-9'`,
    );
    return rowCount === 1;
  });
  expect((await service.database.query("SELECT 1 FROM runs WHERE app = 'app-9'")).rowCount).toBe(0);
});

test("a source that may speak for no namespace gets 403, and nothing of it is stored", async () => {
  const answer = await post(service, frame(), bearer(SILENCED));

  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({
    status: 403,
    detail: expect.stringContaining("nobody"),
  });
  const { rowCount } = await service.database.query("SELECT 1 FROM inbox WHERE source = 'nobody'");
  expect(rowCount).toBe(0);
});

/** As Grafana signs it: with its own code's formula, not with ours. */
function grafanaSigned(body: string, seconds: number, key = GRAFANA_KEY): Record<string, string> {
  return {
    "X-Grafana-Alerting-Signature": createHmac("sha256", key)
      .update(`${seconds}:${body}`)
      .digest("hex"),
    "X-Time": String(seconds),
  };
}

const now = () => Math.floor(Date.now() / 1000);

test("Grafana may sign, by PUT or POST, with the time in the header that it was given", async () => {
  const grafana = frame().replace('"version":"4"', '"version":"1","orgId":1,"state":"alerting"');

  const answer = await post(service, grafana, grafanaSigned(grafana, now()), { method: "PUT" });

  expect(await sourceOf(answer)).toBe("grafana");
});

test.each<[string, (body: string) => Record<string, string>]>([
  [
    "without its time",
    (body) => ({
      "X-Grafana-Alerting-Signature":
        grafanaSigned(body, now())["X-Grafana-Alerting-Signature"] ?? "",
    }),
  ],
  [
    "over the body alone",
    (body) => ({
      "X-Grafana-Alerting-Signature": createHmac("sha256", GRAFANA_KEY).update(body).digest("hex"),
    }),
  ],
  ["of an hour ago", (body) => grafanaSigned(body, now() - 3_600)],
  ["with the bearer token as its key", (body) => grafanaSigned(body, now(), TOKEN)],
])("Grafana's signature %s is refused", async (_name, headers) => {
  const body = frame();

  expect((await post(service, body, headers(body))).status).toBe(401);
});

test("a name of a certificate from anybody but the trusted proxy is refused", async () => {
  expect((await post(service, frame(), { "x-client-name": "am.example" })).status).toBe(401);
});

test("a secret in the address is refused, beside a right token as well; it is not logged", async () => {
  const path = "/alertmanager?token=awh_in-the-address";

  const answer = await post(service, frame(), bearer(TOKEN), { path });

  expect(answer.status).toBe(401);
  expect(service.log.text()).toContain("puts a secret into the address");
  expect(service.log.text()).not.toContain("awh_in-the-address");
});

async function processedAt(id: string): Promise<Date | null | undefined> {
  const { rows } = await service.database.query<{ processed_at: Date | null }>(
    "SELECT processed_at FROM inbox WHERE id = $1",
    [id],
  );
  return rows[0]?.processed_at;
}

async function letAMinutePass(id: string): Promise<void> {
  await waitUntil("it to be looked at", async () => (await processedAt(id)) !== null);
  await service.database.query(
    "UPDATE inbox SET processed_at = now() - interval '1 minute' WHERE id = $1",
    [id],
  );
  await service.database.query("UPDATE episodes SET last_seen_at = now() - interval '1 minute'");
}

/** Whether the alert about this app was told of in the last 30 seconds. */
async function seenLately(app: string): Promise<boolean> {
  const { rowCount } = await service.database.query(
    "SELECT 1 FROM episodes WHERE labels->>'app' = $1 AND last_seen_at > now() - interval '30 seconds'",
    [app],
  );
  return rowCount === 1;
}

test("the same body again, later, says that its alerts still fire", async () => {
  const body = frame({ app: "app-11" });
  const { id } = (await (await post(service, body)).json()) as { id: string };
  await letAMinutePass(id);

  const again = await post(service, body);

  expect(await again.json()).toMatchObject({ id, accepted: 0, duplicate: 1 });
  await waitUntil("it to be seen", async () => seenLately("app-11"));
});

test("a copy of a signed request is answered as one, and tells nothing", async () => {
  const body = frame({ app: "app-12" });
  const headers = { "x-fettle-timestamp": String(now()), "x-fettle-signature": "" };
  headers["x-fettle-signature"] = signBody(
    GRAFANA_KEY,
    Number(headers["x-fettle-timestamp"]),
    body,
  );
  const { id } = (await (await post(service, body, headers)).json()) as { id: string };
  await letAMinutePass(id);
  const before = await processedAt(id);

  const copy = await post(service, body, headers);

  expect(copy.status).toBe(202);
  expect(await copy.json()).toMatchObject({ id, duplicate: 1 });
  expect(await processedAt(id)).toEqual(before);
  expect(await seenLately("app-12")).toBe(false);
  const later = String(Number(headers["x-fettle-timestamp"]) + 5);
  await post(service, body, {
    "x-fettle-timestamp": later,
    "x-fettle-signature": signBody(GRAFANA_KEY, Number(later), body),
  });
  await waitUntil("a new signature to count", async () => seenLately("app-12"));
});
