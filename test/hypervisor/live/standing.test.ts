import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { standingIn } from "../../../hypervisor/live/standing.ts";
import { createWatch } from "../../../hypervisor/live/watch.ts";
import type { Principal } from "../../../hypervisor/types.ts";
import { silentLog } from "../../../lib/log.ts";
import { systemClock } from "../../../lib/clock.ts";
import { startLoki, type Loki } from "../../fakes/loki.ts";
import { until } from "../backends/contract/subject.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";
import { watchLog } from "../logs/given.ts";

let loki: Loki;
let given: Hypervisor;
beforeAll(async () => {
  loki = await startLoki();
  given = await givenHypervisor({ LOKI_URL: loki.url });
});
afterAll(async () => {
  await given.stop();
  await loki.stop();
});

const NOBODY_YET: Principal = {
  name: "",
  via: "session",
  role: "",
  permissions: [],
  organization: undefined,
  projects: "all",
};

async function sessionOf(name: string): Promise<string> {
  const { rows } = await given.database.query<{ id: string }>(
    "SELECT id FROM hypervisor_sessions WHERE username = $1 AND ended_at IS NULL",
    [name],
  );
  return rows[0]?.id ?? "";
}

test("a login stands until its logout, with the rights that its owner has by then", async () => {
  const standing = standingIn(given.database);
  const { name, token } = await given.person("Viewer");
  const principal = { ...NOBODY_YET, name, session: await sessionOf(name) };
  expect((await standing(principal))?.role).toBe("Viewer");
  const become = async (role: string) =>
    given.database.query("UPDATE hypervisor_users SET role = $2 WHERE username = $1", [name, role]);
  await become("guest");
  expect((await standing(principal))?.permissions).not.toContain("logs:read");
  await become("Viewer");
  await given.database.query(
    "UPDATE hypervisor_sessions SET ended_at = now(), ended_by = 'logout' WHERE id = $1",
    [principal.session],
  );
  expect(await standing(principal)).toBeUndefined();
  expect(token).not.toBe("");
});

test("who was given fewer rights stands no more, until they sign in again", async () => {
  const standing = standingIn(given.database);
  const { name } = await given.person("Viewer");
  const principal = { ...NOBODY_YET, name, session: await sessionOf(name) };
  const body = { role: "guest", email: "", enabled: true };

  expect((await given.send(`/api/v1/users/${name}`, { method: "PUT", body })).status).toBe(200);

  expect(await standing(principal)).toBeUndefined();
});

test("who came by an identity provider stands as long as they are that account", async () => {
  const standing = standingIn(given.database);
  const name = fresh("person");
  const bind = async (subject: string) =>
    given.database.query(
      `INSERT INTO hypervisor_users (username, role, oidc_issuer, oidc_subject) VALUES ($1, 'Viewer', 'https://idp', $2)
       ON CONFLICT (username) DO UPDATE SET oidc_subject = $2`,
      [name, subject],
    );
  await bind("first");
  const principal = { ...NOBODY_YET, name, via: "oidc" as const, subject: "first" };
  expect((await standing(principal))?.role).toBe("Viewer");

  await bind("second");

  expect(await standing(principal)).toBeUndefined();
});

test("a disabled user stands no more, nor a token that was revoked", async () => {
  const standing = standingIn(given.database);
  const { name } = await given.person("Operator");
  const principal = { ...NOBODY_YET, name, session: await sessionOf(name) };
  const made = await given.send("/api/v1/tokens", {
    method: "POST",
    body: { name: "live", owner: name, permissions: ["logs:read"] },
  });
  const id = String(made.body["id"]);
  const byToken = { ...NOBODY_YET, name, via: "api-token" as const, token: id };
  expect((await standing(byToken))?.permissions).toEqual(["logs:read"]);
  expect((await given.send(`/api/v1/tokens/${id}`, { method: "DELETE" })).status).toBe(204);
  expect(await standing(byToken)).toBeUndefined();
  expect((await standing(principal))?.name).toBe(name);
  await given.database.query("UPDATE hypervisor_users SET enabled = false WHERE username = $1", [
    name,
  ]);
  expect(await standing(principal)).toBeUndefined();
});

test("while the database does not answer connections stay, but not for a minute", async () => {
  let now = 0;
  const ended: number[] = [];
  const clock = {
    now: () => new Date(now),
    sleep: async (ms: number, signal?: AbortSignal) => {
      now += ms;
      await systemClock.sleep(1, signal);
    },
  };
  const standing = async () => Promise.reject(new Error("no database"));
  const watch = createWatch({ standing, clock, log: silentLog });
  const forget = watch.add({ principal: NOBODY_YET, permission: "logs:read" }, (code) => {
    ended.push(code, now);
    forget();
  });
  await until(async () => Promise.resolve(ended.length > 0));
  await watch.stop();
  expect(ended[0]).toBe(1013);
  expect(ended[1]).toBeGreaterThan(25_000);
  expect(ended[1]).toBeLessThanOrEqual(60_000);
});

test("one caller cannot take all connections", async () => {
  const standing = async (principal: Principal) => Promise.resolve(principal);
  const watch = createWatch({ standing, clock: systemClock, log: silentLog });
  const greedy = { ...NOBODY_YET, name: "greedy" };
  for (let i = 0; i < 200; i += 1) {
    watch.admit(greedy);
    watch.add({ principal: greedy, permission: "logs:read" }, () => undefined);
  }
  expect(() => {
    watch.admit(greedy);
  }).toThrow("One caller may have 200 live connections");
  watch.admit({ ...greedy, name: "modest" });
  await watch.stop();
});

test("on the real service a logout closes the log that its owner watches, within a minute", async () => {
  const { token, refresh } = await given.person("Viewer");
  const watching = watchLog(given.url, "/ws/logs/x", token);
  await until(async () => Promise.resolve(watching.messages.length > 0));
  const out = await given.send("/auth/logout", {
    method: "POST",
    as: token,
    body: { refresh_token: refresh },
  });
  expect(out.status).toBe(204);
  const start = performance.now();
  expect(await watching.closed).toEqual([4401, "signed out"]);
  expect(performance.now() - start).toBeLessThan(60_000);
}, 90_000);
