import { describe, expect, test } from "@jest/globals";
import { Secret } from "../../../lib/secret.ts";
import { openAccess, SESSION_COOKIE, type Visit } from "../../../runbooks/pages/access.ts";

const TOKEN = "pages-test-token-0123456789";
const NOW = new Date("2026-11-21T09:00:00Z");
const LOCAL: Visit = {
  authorization: undefined,
  cookie: undefined,
  host: "127.0.0.1:8080",
  forwarded: false,
};

function access({ token = new Secret(TOKEN), now = NOW }: { token?: Secret; now?: Date } = {}) {
  return openAccess({ token, host: "127.0.0.1", clock: { now: () => now } });
}

function sessionOf({ signIn }: ReturnType<typeof access>): string {
  const session = signIn(TOKEN);
  if (session === undefined) throw new Error("the token was refused");
  return `other=1; ${SESSION_COOKIE}=${session.value}; more=2`;
}

describe("with a token", () => {
  test.each<[string, Partial<Visit>, boolean]>([
    ["nothing", {}, false],
    ["the bearer token", { authorization: `Bearer ${TOKEN}` }, true],
    [
      "it as a basic password",
      { authorization: `Basic ${Buffer.from(`ana:${TOKEN}`).toString("base64")}` },
      true,
    ],
    ["another token", { authorization: "Bearer pages-test-token-0123456780" }, false],
    ["a truncated token", { authorization: `Bearer ${TOKEN.slice(0, -1)}` }, false],
    ["another scheme", { authorization: `Digest ${TOKEN}` }, false],
    ["the token as a cookie", { cookie: `${SESSION_COOKIE}=${TOKEN}` }, false],
    ["an empty session", { cookie: `${SESSION_COOKIE}=` }, false],
    ["a session without a signature", { cookie: `${SESSION_COOKIE}=v1.99999999999.x` }, false],
    ["a made-up session", { cookie: `${SESSION_COOKIE}=v1.99999999999.x.y` }, false],
  ])("%s: may look: %s", (_name, shown, may) => {
    expect(access().viewerOf({ ...LOCAL, ...shown }) !== undefined).toBe(may);
  });

  test("a session holds for twelve hours, in every replica, and for no other token", () => {
    const cookie = sessionOf(access());
    const after = (hours: number) =>
      access({ now: new Date(NOW.getTime() + hours * 3_600_000) }).viewerOf({ ...LOCAL, cookie });

    expect(after(11.9)).toMatchObject({
      kind: "token",
      until: new Date("2026-11-21T21:00:00Z"),
    });
    expect(after(12.1)).toBeUndefined();
    const other = access({ token: new Secret("another-pages-token-0123456789") });
    expect(other.viewerOf({ ...LOCAL, cookie })).toBeUndefined();
  });

  test("a session whose end was changed is none", () => {
    const cookie = sessionOf(access()).replace(/v1\.\d+/, "v1.99999999999");

    expect(access().viewerOf({ ...LOCAL, cookie })).toBeUndefined();
  });

  test("forms need a token of their own wherever a browser sends credentials by itself", () => {
    const { viewerOf } = access();
    const csrf = (shown: Partial<Visit>) => viewerOf({ ...LOCAL, ...shown })?.csrf;
    const basic = `Basic ${Buffer.from(`:${TOKEN}`).toString("base64")}`;
    const [one, other] = [sessionOf(access()), sessionOf(access())].map((cookie) =>
      csrf({ cookie }),
    );

    expect(one).toMatch(/^[\w-]{43}$/);
    expect(other).not.toBe(one);
    expect(csrf({ authorization: basic })).toMatch(/^[\w-]{43}$/);
    expect(csrf({ authorization: `Bearer ${TOKEN}` })).toBeUndefined();
  });
});

describe("without a token", () => {
  const open = (host: string) => openAccess({ token: undefined, host, clock: { now: () => NOW } });

  test.each<[string, string, Partial<Visit>, boolean]>([
    ["this machine", "127.0.0.1", {}, true],
    ["this machine by name", "localhost", { host: "localhost:8080" }, true],
    ["this machine by IPv6", "::1", { host: "[::1]:8080" }, true],
    ["a name that was pointed at this machine", "127.0.0.1", { host: "evil.example:8080" }, false],
    ["no name at all", "127.0.0.1", { host: undefined }, false],
    ["whoever stands behind a proxy", "127.0.0.1", { forwarded: true }, false],
    ["anybody, where the network can reach it", "0.0.0.0", {}, false],
  ])("%s may look: listening on %s", (_name, host, shown, may) => {
    expect(open(host).viewerOf({ ...LOCAL, ...shown }) !== undefined).toBe(may);
  });

  test("nobody can sign in, and forms need a token of their own", () => {
    const { signIn, canSignIn, viewerOf } = open("127.0.0.1");

    expect([signIn(""), canSignIn]).toEqual([undefined, false]);
    expect(viewerOf(LOCAL)?.csrf).toMatch(/^[\w-]{43}$/);
    expect(open("127.0.0.1").viewerOf(LOCAL)?.csrf).not.toBe(viewerOf(LOCAL)?.csrf);
  });
});
