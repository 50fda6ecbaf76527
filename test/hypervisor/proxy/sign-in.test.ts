import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

let upstream: Upstream;
let api: Hypervisor;
beforeAll(async () => {
  upstream = await startUpstream();
  api = await givenHypervisor({ GRAFANA_URL: upstream.url });
});
afterAll(async () => {
  await api.stop();
  upstream.stop();
});
beforeEach(() => {
  upstream.seen.length = 0;
});

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly cookie: string;
  readonly text: string;
}

/** As a browser would that has these cookies. */
async function ask(
  path: string,
  { form, ...headers }: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const type = { "content-type": "application/x-www-form-urlencoded" };
  return new Promise((resolve, reject) => {
    const sent = request(`${api.url}${path}`, {
      method: form === undefined ? "GET" : "POST",
      headers: { accept: "text/html", ...(form === undefined ? {} : type), ...headers },
    });
    sent.on("response", (answer) => {
      let text = "";
      answer.on("data", (piece: Buffer) => (text += piece.toString("utf8")));
      answer.on("end", () => {
        const { statusCode: status = 0, headers: told } = answer;
        resolve({ status, location: told.location, cookie: told["set-cookie"]?.[0] ?? "", text });
      });
    });
    sent.on("error", reject);
    sent.end(form);
  });
}

const pair = ({ cookie }: Answer) => cookie.split(";")[0] ?? "";

/** The page's cookie and its field. */
async function openForm(headers: Readonly<Record<string, string>> = {}) {
  const page = await ask("/sign-in", headers);
  return { cookie: pair(page), csrf: /name="csrf" value="([\w-]+)"/.exec(page.text)?.[1] ?? "" };
}

async function signIn(
  username: string,
  { next = "", password = PASSWORD, ...headers }: Readonly<Record<string, string>> = {},
) {
  const { cookie, csrf } = await openForm(headers);
  const fields = { csrf, username, password, ...(next === "" ? {} : { next }) };
  const form = new URLSearchParams(fields).toString();
  return ask("/sign-in", { ...headers, cookie, form });
}

test("a session's cookie opens what is shown behind the API, as its owner, and nothing else of it", async () => {
  const person = await api.person("Viewer");
  const cookie = pair(await signIn(person.name));

  const shown = await ask("/grafana/d/abc", { cookie });
  const others = await Promise.all([
    ask("/auth/me", { cookie }),
    ask("/api/v1/vdcs", { cookie }),
    ask("/auth/me", { authorization: `Bearer ${cookie.split("=")[1] ?? ""}` }),
  ]);

  expect([shown.status, shown.text]).toEqual([200, "it is me"]);
  expect(upstream.seen[0]?.headers).toMatchObject({ "x-webauth-user": person.name });
  expect(upstream.seen[0]?.headers.cookie).toBeUndefined();
  expect(others.map(({ status }) => status)).toEqual([401, 401, 401]);
});

test("the cookie is the host's alone over TLS, and plain on loopback only", async () => {
  const person = await api.person("Viewer");
  const host = "fettle.example.com";

  const here = await signIn(person.name);
  const there = await signIn(person.name, { host });

  expect(here.cookie).toMatch(
    /^fettle-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=43200$/,
  );
  expect(there.cookie).toMatch(
    /^__Host-fettle-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=43200$/,
  );
  const answers = [
    await ask("/grafana/", { host, cookie: pair(there) }),
    await ask("/grafana/", { host, cookie: pair(there).replace("__Host-", "") }),
    await ask("/grafana/", { host, cookie: `${pair(there)}; __Host-fettle-session=tossed` }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 303, 303]);
});

test.each([
  ["/grafana/d/abc?from=now-6h&x=%2F", "/grafana/d/abc?from=now-6h&x=%2F"],
  ["/grafana", "/grafana"],
  ["/grafanas", "/sign-in"],
  ["//evil.example/grafana/", "/sign-in"],
  ["https://evil.example/grafana/", "/sign-in"],
  ["/\\evil.example", "/sign-in"],
  ["/grafana/\\..\\", "/sign-in"],
  ["/loki/", "/sign-in"],
  ["javascript:alert(1)", "/sign-in"],
])("who wanted to go to %s lands at %s", async (next, location) => {
  const person = await api.person("Viewer");
  const { status, location: to } = await signIn(person.name, { next });
  expect([status, to]).toEqual([303, location]);
});

test("only a page is led to the sign-in: programs, parts of pages and wrong tokens get 401", async () => {
  const answers = [
    await ask("/grafana/d/abc?x=1"),
    await ask("/grafana/", { accept: "application/json" }),
    await ask("/grafana/", { "sec-fetch-mode": "cors" }),
    await ask("/grafana/", { form: "x=1" }),
    await ask("/grafana/", { authorization: "Bearer wrong" }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([303, 401, 401, 401, 401]);
  const long = await ask(`/grafana/${"x".repeat(5_000)}`);
  expect([long.status, long.location]).toEqual([303, "/sign-in"]);
  expect(answers[0]?.location).toBe("/sign-in?next=%2Fgrafana%2Fd%2Fabc%3Fx%3D1");
  expect(upstream.seen).toEqual([]);
});

test("a form that is not our page's signs nobody in or out", async () => {
  const person = await api.person("Viewer");
  const { cookie, csrf } = await openForm();
  const fields = { username: person.name, password: PASSWORD };
  const form = new URLSearchParams({ ...fields, csrf }).toString();
  const wrong = new URLSearchParams({ ...fields, csrf: "wrong" }).toString();
  const session = pair(await signIn(person.name));

  const answers = [
    await ask("/sign-in", { form }),
    await ask("/sign-in", { form: wrong, cookie }),
    await ask("/sign-in", { form, cookie, "sec-fetch-site": "same-site" }),
    await ask("/sign-in", { form, cookie, origin: "https://evil.example" }),
    await ask("/sign-in", { form, cookie, origin: "null" }),
    await ask("/sign-out", { form: "csrf=wrong", cookie: `${cookie}; ${session}` }),
    await ask("/sign-out", { form: `csrf=${csrf}`, cookie: session }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403, 403, 403]);
  expect((await ask("/grafana/", { cookie: session })).status).toBe(200);
});

test("another site's page asks nothing with the cookie, but may link here", async () => {
  const person = await api.person("Admin");
  const cookie = pair(await signIn(person.name));
  const post = "{}";
  const ways: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "own page": { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" },
    "own page's change": { "sec-fetch-site": "same-origin", form: post, origin: api.url },
    "typed address": { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" },
    link: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
    "foreign image": { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" },
    "foreign form": { "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", form: post },
    "foreign change": { form: post, origin: "https://evil.example" },
    "a change from nowhere": { form: post },
  };
  const answers: Record<string, number> = {};

  for (const [what, headers] of Object.entries(ways))
    answers[what] = (await ask("/grafana/api/ds/query", { cookie, ...headers })).status;

  expect(answers).toEqual({
    "own page": 200,
    "own page's change": 200,
    "typed address": 200,
    link: 200,
    "foreign image": 403,
    "foreign form": 403,
    "foreign change": 403,
    "a change from nowhere": 403,
  });
});

test("WebSockets take the cookie from our own pages only, and only what is shown behind the API does", async () => {
  const person = await api.person("Viewer");
  const cookie = pair(await signIn(person.name));
  const open = async (path: string, headers: Readonly<Record<string, string>>) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(`${api.url.replace("http", "ws")}${path}`, { headers });
      socket.once("open", () => {
        socket.send("hello");
      });
      socket.once("message", (data: Buffer) => {
        socket.close();
        resolve(data.toString("utf8"));
      });
      socket.once("unexpected-response", (_request, { statusCode = 0 }) => {
        socket.terminate();
        resolve(String(statusCode));
      });
      socket.on("error", () => undefined);
    });

  expect([
    await open("/grafana/api/live/ws", { cookie, origin: api.url }),
    await open("/grafana/api/live/ws", { cookie, origin: "http://127.0.0.1:1" }),
    await open("/grafana/api/live/ws", { cookie, origin: "null" }),
    await open("/grafana/api/live/ws", { cookie }),
    await open("/ws/logs/web", { cookie, origin: api.url }),
  ]).toEqual(["echo hello", "403", "403", "403", "401"]);
});

test("wrong passwords are told on the page, throttled, and escaped", async () => {
  const person = await api.person("Viewer");
  const answers = [];
  for (let nth = 0; nth < 6; nth += 1)
    answers.push(await signIn(person.name, { password: "wrong password" }));
  const odd = await signIn('"><script>x</script>', { password: "wrong password" });
  await api.database.query("DELETE FROM hypervisor_login_failures");

  expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429]);
  expect(answers[0]?.text).toContain("The user name or the password is wrong.");
  expect(answers[0]?.text).toContain(`value="${person.name}"`);
  expect(answers[5]?.text).toMatch(/role="alert"[^>]*>Too many attempts/);
  expect(odd.text).not.toContain("<script>x");
  expect(answers.concat(odd).every(({ cookie }) => cookie === "")).toBe(true);
});

test("a sign-out, another sign-in, disabling and fewer rights end the session", async () => {
  const person = await api.person("Operator");
  const open = async (cookie: string) => (await ask("/grafana/", { cookie })).status;
  const signedOut = pair(await signIn(person.name));
  const { cookie: form, csrf } = await openForm();
  const out = await ask("/sign-out", { form: `csrf=${csrf}`, cookie: `${form}; ${signedOut}` });
  const replaced = pair(await signIn(person.name));
  const fields = { csrf, username: person.name, password: PASSWORD };
  const again = await ask("/sign-in", {
    form: new URLSearchParams(fields).toString(),
    cookie: `${form}; ${replaced}`,
  });
  const lesser = pair(again);

  expect([out.status, out.cookie.includes("Max-Age=0")]).toEqual([303, true]);
  expect([await open(signedOut), await open(replaced), await open(lesser)]).toEqual([
    303, 303, 200,
  ]);
  await api.send(`/api/v1/users/${person.name}`, { method: "PUT", body: { role: "Viewer" } });
  expect(await open(lesser)).toBe(303);
  const rows = (await api.rows()).filter(({ actor }) => actor === person.name);
  expect(rows.filter(({ event }) => event === "UserLogout")).toHaveLength(2);
});

test("who must change the password does so on the page, and is let in then; other sessions end", async () => {
  const username = fresh("new");
  const body = { username, role: "Viewer" };
  const made = await api.send("/api/v1/users", { method: "POST", body });
  const oneTime = String(made.body["one_time_password"]);
  const [cookie, other] = [
    pair(await signIn(username, { password: oneTime })),
    pair(await signIn(username, { password: oneTime })),
  ];
  const { cookie: form, csrf } = await openForm();
  const cookies = `${form}; ${cookie}`;
  const change = async (current_password: string, new_password: string, sent = csrf) =>
    ask("/sign-in/password", {
      cookie: cookies,
      form: new URLSearchParams({ csrf: sent, current_password, new_password }).toString(),
    });

  expect((await ask("/sign-in", { cookie: cookies })).text).toContain("must be changed first");
  expect((await ask("/grafana/", { cookie })).status).toBe(403);
  const refused = [
    await change("a wrong password", PASSWORD),
    await change(oneTime, "password1234"),
    await change(oneTime, PASSWORD, "wrong"),
  ];
  const done = await change(oneTime, PASSWORD);

  expect(refused.map(({ status }) => status)).toEqual([403, 400, 403]);
  expect(refused[1]?.text).toMatch(/role="alert"[^>]*>new_password: must not be made of/);
  expect([done.status, done.location]).toEqual([303, "/sign-in"]);
  expect([
    (await ask("/grafana/", { cookie })).status,
    (await ask("/grafana/", { cookie: other })).status,
  ]).toEqual([200, 303]);
  const rows = (await api.rows()).filter(({ event }) => event === "UserPasswordChanged");
  expect(rows.map(({ actor, result }) => `${actor} ${result}`)).toEqual([
    `${username} Refused`,
    `${username} Failure`,
    "anonymous Refused", // a form that is not our page's
    `${username} Success`,
  ]);
  const stranger = await ask("/sign-in/password", {
    cookie: form,
    form: new URLSearchParams({ csrf, current_password: "x", new_password: "y" }).toString(),
  });
  expect(stranger.status).toBe(401);
});
