import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import express from "express";
import { PERMISSIONS } from "../../../runbooks/pages/permissions.ts";
import { demandPermissions, guardedRoutes } from "../../../runbooks/routes/guarded.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { givenService, type GivenService } from "../given-service.ts";
import { API_TOKEN, look } from "./given-pages.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService({
    RUNBOOKS_API_TOKEN: API_TOKEN,
    SLACK_SIGNING_SECRET: "slack-signing-secret-0123456789",
  });
});
afterAll(async () => service.stop());

const GUARDED = [...PERMISSIONS].filter(([, permission]) =>
  ["view", "operate"].includes(permission),
);

test("a route that the table does not name keeps the service from starting", () => {
  const app = express();
  app.get("/health", () => undefined);
  demandPermissions(app);
  app.post("/backdoor", () => undefined).delete("/backdoor", () => undefined);

  expect(() => {
    demandPermissions(app);
  }).toThrow("does not say who may reach POST /backdoor, DELETE /backdoor");
});

test("a route of the pages cannot be registered under a permission that nobody checks", () => {
  const access = { viewerOf: () => undefined, signIn: () => undefined, canSignIn: false };
  const guarded = guardedRoutes(express(), access);

  for (const path of ["/metrics", "/unheard-of"])
    expect(() => {
      guarded.get(path, () => undefined);
    }).toThrow(`GET ${path}: pages/permissions.ts does not say who may reach it`);
});

describe.each(GUARDED)("%s", (route) => {
  const [method = "", pattern = ""] = route.split(" ");
  const path = pattern.replace(":id", "some_id");

  test.each<[string, Record<string, string>]>([
    ["nobody", {}],
    ["a wrong token", { authorization: "Bearer pages-test-token-9876543210" }],
    ["the sender's token", { authorization: "Bearer awh_service-test-token" }],
    ["a forged session", { cookie: "__Host-fettle=v1.99999999999.x.y" }],
  ])("is refused to %s, as a page and as JSON, before its body is read", async (_who, shown) => {
    for (const accept of ["text/html", "application/json"]) {
      const answer = await fetch(`${service.url}${path}`, {
        method,
        headers: { ...shown, accept },
        redirect: "manual",
      });
      const text = await answer.text();
      expect([answer.status, text.includes("Sign in")]).toEqual([401, true]);
    }
  });
});

describe.each(GUARDED.filter(([route]) => route.startsWith("POST ")))("%s", (route) => {
  const path = route.replace("POST ", "").replace(":id", "some_id");

  test("is refused to a session whose form does not carry its token, and to another site's form", async () => {
    const cookie = await sessionCookie();
    const send = async (headers: Record<string, string>, body: Record<string, string>) =>
      (
        await fetch(`${service.url}${path}`, {
          method: "POST",
          headers,
          body: new URLSearchParams(body),
          redirect: "manual",
        })
      ).status;

    expect(await send({ cookie }, {})).toBe(403);
    expect(await send({ cookie }, { csrf: "x".repeat(43) })).toBe(403);
    expect(
      await send({ authorization: `Bearer ${API_TOKEN}`, "sec-fetch-site": "cross-site" }, {}),
    ).toBe(403);
  });
});

async function sessionCookie(): Promise<string> {
  const answer = await fetch(`${service.url}/sign-in`, {
    method: "POST",
    body: new URLSearchParams({ token: API_TOKEN, next: "/runs" }),
    redirect: "manual",
  });
  return (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

describe("signing in", () => {
  const signIn = async (fields: Record<string, string>) =>
    fetch(`${service.url}/sign-in`, {
      method: "POST",
      headers: { accept: "text/html" },
      body: new URLSearchParams(fields),
      redirect: "manual",
    });

  test("leads to the page that was asked for, with a cookie that only this host gets", async () => {
    const answer = await signIn({ token: API_TOKEN, next: "/runs?state=open" });

    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/runs?state=open"]);
    const cookie = answer.headers.get("set-cookie") ?? "";
    for (const attribute of ["__Host-fettle=v1.", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"])
      expect(cookie).toContain(attribute);
    expect(cookie).not.toContain("Domain");
    const page = await look(service, "/runs", {
      accept: "text/html",
      cookie: await sessionCookie(),
    });
    expect(page.status).toBe(200);
  });

  test.each(["https://evil.example/", "//evil.example", "/\\evil.example", "/x\r\ny", "x"])(
    "never leads to %j",
    async (next) => {
      const answer = await signIn({ token: API_TOKEN, next });

      expect([answer.status, answer.headers.get("location")]).toEqual([303, "/"]);
    },
  );

  test("with a wrong token says so, and keeps where one wanted to go", async () => {
    const answer = await signIn({ token: "wrong", next: "/runs" });
    const text = await answer.text();

    expect(answer.status).toBe(401);
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(text).toContain("This is not the token.");
    expect(text).toContain('name="next" value="/runs"');
    expect(service.log.text()).not.toContain(API_TOKEN);
  });

  test("is not held up by somebody who guesses: of many wrong tokens at once some are turned away", async () => {
    const statuses = new Set<number>();
    await waitUntil("the refusal", async () => {
      const wrong = Promise.all(
        Array.from({ length: 64 }, async () => signIn({ token: "wrong", next: "/" })),
      );
      expect((await signIn({ token: API_TOKEN, next: "/" })).status).toBe(303);
      for (const { status } of await wrong) statuses.add(status);
      return statuses.has(429);
    });
    expect([...statuses].sort()).toEqual([401, 429]);
  });

  test("without a field says which", async () => {
    const answer = await signIn({});

    expect([answer.status, await answer.text()]).toEqual([
      400,
      expect.stringContaining("token: must be given"),
    ]);
  });
});

test("without a token the pages are there for this machine alone, by its own name", async () => {
  const own = await givenService();
  try {
    const page = await look(own, "/runs", { accept: "text/html" });
    const forwarded = await look(own, "/runs", { accept: "text/html", "x-forwarded-for": "::1" });
    expect([page.status, page.text.includes("No alert has asked")]).toEqual([200, true]);
    for (const name of ["via", "forwarded", "x-real-ip", "x-forwarded-proto", "x-forwarded-port"]) {
      const { status } = await look(own, "/runs", { accept: "text/html", [name]: "1" });
      expect([name, status]).toEqual([name, 401]);
    }
    expect([forwarded.status, forwarded.text.includes("No token is configured")]).toEqual([
      401,
      true,
    ]);
  } finally {
    await own.stop();
  }
});

test("an unknown page is a page for people, and a problem document for programs", async () => {
  const page = await look(service, "/nowhere");
  const program = await fetch(`${service.url}/nowhere`);

  expect([page.status, page.headers.get("content-type")]).toEqual([
    404,
    "text/html; charset=utf-8",
  ]);
  expect(page.text).toContain("There is no such page.");
  expect([program.status, program.headers.get("content-type")]).toEqual([
    404,
    "application/problem+json; charset=utf-8",
  ]);
});
