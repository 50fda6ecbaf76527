import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { permissionsOf } from "../../hypervisor/auth/person.ts";
import type { Requirement } from "../../hypervisor/frame/route.ts";
import { explain, ROLES } from "../../hypervisor/permissions.ts";
import { FILTERS, objectsOf, requestFor, SIDES, WHOSE } from "./matrix-objects.ts";
import type { Objects, Side, Whose } from "./matrix-objects.ts";
import { givenTwoOrganizations, openSocket, TENANT_WITH_ALL } from "./matrix-world.ts";
import type { Caller, Seen, World } from "./matrix-world.ts";
import { registeredRoutes, type RegisteredRoute } from "./registered.ts";

const FILE = new URL("matrix.txt", import.meta.url);
/** For somebody who reads the file: a column for each role, and one for nobody. */
const COLUMNS = [...Object.keys(ROLES), TENANT_WITH_ALL, "nobody"];
/** They end sessions, or count guesses: nobody is sent there. */
const NOT_CALLED = /^\/auth\/(token|refresh|logout|password)$/;
/** It has the caller's own refused attempts, with the names that they asked for. */
const OWN_WORDS = "/api/v1/audit/logs";
const HEAD = `# Who gets what from which route, seen on a running service with two organizations that have the same things.
# Made by UPDATE_MATRIX=1 make test T=test/hypervisor/matrix.test.ts; read the diff.
# A letter for each object that a route is about: the caller's own organization's, the other organization's, one that is
# not there; where all share them (why stands at the end): one that is there, one that is not; else one letter.
# y let in, x understood and not done (400, 409), n "not there" (404), - not permitted (403), u who are you (401)
# The platform's roles see both organizations' things: "own" is the first one's. tenant*: of an organization, with every
# permission. nobody: no token, a disabled user's, or one that was signed out.
`;

let world: World;
let routes: readonly RegisteredRoute[];
let wrong: string[] = [];
beforeAll(async () => {
  world = await givenTwoOrganizations();
  routes = await registeredRoutes(world.api.url);
});
afterAll(async () => world.stop());

function mayCall(role: string, requirement: Requirement): boolean {
  if (requirement === "public") return true;
  if (role === "nobody") return false;
  if (requirement === "signed-in") return true;
  const any = typeof requirement === "string" ? [requirement] : requirement;
  const everything = role === TENANT_WITH_ALL;
  const permissions = everything
    ? ["*"]
    : permissionsOf({ role, permissions: [], role_permissions: null });
  const organization = everything || ROLES[role]?.confined === true ? "lyra" : undefined;
  return any.some((each) => explain({ name: role, role, permissions, organization }, each).allowed);
}

/** Where a route is about no object nonsense is sent: whoever is told so was let in. */
function letterOf({ places }: Objects, { status }: Seen): string {
  if (places.length > 0 && (status === 400 || status === 409)) return "x";
  return { 401: "u", 403: "-", 404: "n" }[status] ?? "y";
}

interface Asked extends Seen {
  readonly name: string;
  /** In the caller's hand, its own organization's or another's. */
  readonly whose: Whose | "nowhere";
  readonly role: string;
  readonly mutates: boolean;
}

/** By the correlation ids of the requests. */
const asked = new Map<string, Asked>();

async function ask(
  objects: Objects,
  whose: Whose | "nowhere",
  caller: Pick<Caller, "side" | "token"> & { readonly role?: string },
): Promise<Seen> {
  const { method, path: name, dryRun: mutates } = objects.route;
  const id = `matrix-${asked.size}`;
  const about = { name: `${method} ${name}`, whose, role: caller.role ?? "nobody", mutates };
  asked.set(id, { ...about, status: 0, text: "" });
  const seen = await send(objects, whose, { ...caller, id });
  asked.set(id, { ...about, ...seen });
  return seen;
}

async function send(
  objects: Objects,
  whose: Whose | "nowhere",
  { side, token, id }: Pick<Caller, "side" | "token"> & { readonly id: string },
): Promise<Seen> {
  const { method } = objects.route;
  const { path, body } = requestFor(objects, { side, whose, ids: world.ids });
  if (method === "WS") return openSocket(world.api.url, path, { token, id });
  const response = await fetch(`${world.api.url}${path}`, {
    method,
    headers: {
      "x-correlation-id": id,
      ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

function otherOf(side: Side): Side {
  return side === SIDES[0] ? SIDES[1] : SIDES[0];
}

function whoseOf({ places, shared }: Objects): readonly Whose[] {
  if (places.length === 0) return ["own"];
  return shared === undefined ? WHOSE : ["own", "absent"];
}

/** What a caller gets, a letter for each object; what must never be is noted. */
async function lettersOf(objects: Objects, caller: Caller): Promise<string> {
  const { method, path } = objects.route;
  const seen = await Promise.all(
    whoseOf(objects).map(async (whose) => [whose, await ask(objects, whose, caller)] as const),
  );
  const { role, side, confined } = caller;
  for (const [whose, one] of seen)
    for (const what of [
      ...faultsOf(objects, caller, one),
      ...faultsBy(objects, caller, whose, one),
    ])
      wrong.push(`${method} ${path}: ${role} of ${side}, ${whose}: ${one.status}: ${what}`);
  if (confined && seen.length === WHOSE.length) await compare(objects, caller, seen);
  return seen.map(([, one]) => letterOf(objects, one)).join("");
}

/** Whatever it is about. */
function faultsOf(objects: Objects, { role }: Caller, one: Seen): readonly string[] {
  const letter = letterOf(objects, one);
  const rules: readonly (readonly [boolean, string])[] = [
    [one.status === 500, "broken"],
    [letter !== "-" && !mayCall(role, objects.route.permission), "let in"],
    [letter === "u", "was known"],
    [role === "Admin" && letter === "-", "an admin may"],
  ];
  return rules.filter(([broken]) => broken).map(([, what]) => what);
}

/** By whose thing it is about. */
function faultsBy(
  objects: Objects,
  { role, side, confined }: Caller,
  whose: Whose,
  one: Seen,
): readonly string[] {
  const { route, places, shared } = objects;
  const { status, text } = one;
  const reached = /[yx]/.test(letterOf(objects, one));
  const owned = places.length > 0 && shared === undefined;
  const isTest = role === "Admin" && whose === "own" && owned;
  const others = text.includes(otherOf(side)) && route.path !== OWN_WORDS;
  const rules: readonly (readonly [boolean, string])[] = [
    [isTest && status >= 300 && status !== 409, `the recipe is wrong: ${text}`],
    [confined && whose === "other" && reached, "another organization's thing"],
    [confined && status < 300 && others, `tells of ${otherOf(side)}`],
  ];
  return rules.filter(([broken]) => broken).map(([, what]) => what);
}

/** What is told of another organization's thing is what is told of one that nowhere is. */
async function compare(
  objects: Objects,
  caller: Caller,
  seen: readonly (readonly [Whose, Seen])[],
): Promise<void> {
  const other = seen.find(([whose]) => whose === "other")?.[1] ?? { status: 0, text: "" };
  const nowhere = await ask(objects, "nowhere", caller);
  const told = [other.status, detailOf(other.text).replaceAll(otherOf(caller.side), "none")];
  const expected = [nowhere.status, detailOf(nowhere.text)];
  if (String(told) !== String(expected))
    wrong.push(
      `${objects.route.method} ${objects.route.path}: ${String(told)}, not ${String(expected)}`,
    );
}

function detailOf(text: string): string {
  if (!text.startsWith("{")) return "";
  return (JSON.parse(text) as { readonly detail?: string }).detail ?? "";
}

/** Whoever nobody knows gets nothing, whatever it is about. */
async function lettersOfNobody(objects: Objects): Promise<string> {
  const [side] = SIDES;
  const all = whoseOf(objects).map(async (whose) => ask(objects, whose, { side, token: "" }));
  const seen = await Promise.all(all);
  for (const token of world.outcasts) seen.push(await ask(objects, "own", { side, token }));
  const letters = seen.map((one) => letterOf(objects, one));
  const { method, path, permission } = objects.route;
  const rule = permission === "public" ? /^[yxn-]+$/ : /^u+$/;
  if (!rule.test(letters.join("")) || seen.some(({ status }) => status === 500))
    wrong.push(`${method} ${path} nobody: ${letters.join("")}`);
  return letters.slice(0, whoseOf(objects).length).join("");
}

async function cellsOf(objects: Objects): Promise<ReadonlyMap<string, string>> {
  const { route } = objects;
  if (NOT_CALLED.test(route.path))
    return new Map(
      COLUMNS.map((role) => {
        const refused = role === "nobody" ? "u" : "-";
        return [role, mayCall(role, route.permission) ? "y" : refused];
      }),
    );
  const cells = new Map([["nobody", await lettersOfNobody(objects)]]);
  const all = world.callers.map(
    async (caller) => [caller, await lettersOf(objects, caller)] as const,
  );
  for (const [{ role, side }, letters] of await Promise.all(all)) {
    const before = cells.get(role) ?? letters;
    if (before !== letters)
      wrong.push(`${route.method} ${route.path} ${role} of ${side}: ${letters}, not ${before}`);
    cells.set(role, letters);
  }
  return cells;
}

async function table(): Promise<string> {
  const width = Math.max(...routes.map(({ method, path }) => `${method} ${path}`.length)) + 2;
  const line = (name: string, cells: readonly string[], why = "") =>
    `${name.padEnd(width)}${cells.map((cell, nth) => cell.padEnd((COLUMNS[nth]?.length ?? 0) + 1)).join("")}${why}`.trimEnd();
  const lines: string[] = [];
  for (const route of routes) {
    const objects = objectsOf(route);
    if (typeof objects === "string") {
      wrong.push(objects);
      continue;
    }
    const cells = await cellsOf(objects);
    const why = NOT_CALLED.test(route.path) ? "not called: it would end or count" : objects.shared;
    const row = COLUMNS.map((role) => cells.get(role) ?? "?");
    lines.push(line(`${route.method} ${route.path}`, row, why));
  }
  return `${HEAD}${line("", COLUMNS)}\n${lines.toSorted().join("\n")}\n`;
}

test("who gets what from which route stands in a file that people have looked at, and no tenant gets another's", async () => {
  wrong = [];

  const made = await table();

  expect(wrong).toEqual([]);
  if (process.env["UPDATE_MATRIX"] === "1") writeFileSync(FILE, made);
  expect(made).toBe(readFileSync(FILE, "utf8"));
});

test("each of these refusals is one row of the record, and so is each reach for another's thing to change it", async () => {
  const { rows } = await world.api.database.query<{ id: string; results: readonly string[] }>(
    `SELECT correlation_id AS id, array_agg(detail->>'result') AS results FROM runbooks_audit
      WHERE correlation_id LIKE 'matrix-%' GROUP BY 1`,
  );
  const results = new Map(rows.map((row) => [row.id, row.results.join(" ")]));
  const unlike: string[] = [];
  for (const [id, { name, role, whose, status, mutates }] of asked) {
    const told = results.get(id) ?? "no row";
    const reached = mutates && whose === "other" && status === 404;
    const good = status === 403 ? told === "Refused" : !reached || /^\w+$/.test(told);
    if (role !== "nobody" && !good) unlike.push(`${name}, ${role}, ${whose}: ${status}: ${told}`);
  }

  expect(asked.size).toBeGreaterThan(1_000);
  expect(unlike).toEqual([]);
});

test("what filters a list shows nobody another organization's things", async () => {
  const told: string[] = [];
  for (const [filter, value] of FILTERS) {
    for (const { side, token, role } of world.callers.filter(({ confined }) => confined)) {
      const path = `${filter}=${otherOf(side)}${value}`;
      const { status, body } = await world.api.send(path, { as: token });
      const refused = status === 403 && role === "OrgUser";
      const shown = JSON.stringify(body).includes(otherOf(side));
      if (!refused && (status !== 200 || shown)) told.push(`${path} ${role} of ${side}: ${status}`);
    }
  }

  expect(told).toEqual([]);
});
