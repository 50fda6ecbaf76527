import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { permissionsOf } from "../../hypervisor/auth/person.ts";
import type { Requirement } from "../../hypervisor/frame/route.ts";
import { explain, ROLES } from "../../hypervisor/permissions.ts";
import { givenHypervisor, type Hypervisor } from "./given.ts";
import { registeredRoutes, type RegisteredRoute } from "./registered.ts";

const FILE = new URL("matrix.txt", import.meta.url);
/** Who may do what, for somebody who reads the file: a column for each role, and one for nobody. */
const COLUMNS = [...Object.keys(ROLES), "nobody"];

let api: Hypervisor;
let routes: readonly RegisteredRoute[];
beforeAll(async () => {
  api = await givenHypervisor();
  routes = await registeredRoutes(api.url);
});
afterAll(async () => api.stop());

function mayCall(role: string, requirement: Requirement): boolean {
  if (requirement === "public") return true;
  if (role === "nobody") return false;
  if (requirement === "signed-in") return true;
  const any = typeof requirement === "string" ? [requirement] : requirement;
  const permissions = permissionsOf({ role, permissions: [], role_permissions: null });
  const organization = ROLES[role]?.confined === true ? "org" : undefined;
  return any.some((each) => explain({ name: role, role, permissions, organization }, each).allowed);
}

function table(): string {
  const header = `# route: who may call it. Made by UPDATE_MATRIX=1 make test T=test/hypervisor/matrix.test.ts; read the diff.\n`;
  const lines = routes.map(({ method, path, permission }) => {
    const who = COLUMNS.filter((role) => mayCall(role, permission));
    return `${method} ${path}: ${who.length === COLUMNS.length ? "everybody" : who.join(" ")}`;
  });
  return `${header}${lines.toSorted().join("\n")}\n`;
}

test("who may call which route stands in a file that people have looked at", () => {
  const made = table();
  if (process.env["UPDATE_MATRIX"] === "1") writeFileSync(FILE, made);

  expect(made).toBe(readFileSync(FILE, "utf8"));
});

test("every route answers every role as the table says: 401 and 403, or something else", async () => {
  await api.send("/api/v1/organizations", { method: "POST", body: { id: "org", name: "org" } });
  const people = await Promise.all(
    Object.keys(ROLES).map(async (role) => {
      const organization = ROLES[role]?.confined === true ? "org" : null;
      return { role, token: (await api.person(role, { organization })).token };
    }),
  );
  const [disabled, signedOut] = [await api.person("Admin"), await api.person("Admin")];
  await api.send(`/api/v1/users/${disabled.name}`, { method: "PUT", body: { enabled: false } });
  await api.send("/auth/logout", { method: "POST", as: signedOut.token });
  const strangers = ["", disabled.token, signedOut.token].map((token) => ({
    role: "nobody",
    token,
  }));
  const wrong: string[] = [];
  for (const route of routes.filter(({ method, path }) => method !== "WS" && !ODD.test(path))) {
    for (const { role, token } of [...people, ...strangers]) {
      const status = await call(route, token);
      const expected = mayCall(role, route.permission) ? "in" : role === "nobody" ? "401" : "403";
      const seen = status === 401 || status === 403 ? String(status) : "in";
      const broken = status === 500; // 501 and 503: let in, and there is nothing behind it here
      if (seen !== expected || broken)
        wrong.push(`${route.method} ${route.path} ${role}: ${status}, not ${expected}`);
    }
  }

  expect(wrong).toEqual([]);
});

/** They end sessions, or count guesses. */
const ODD = /^\/auth\/(token|refresh|logout|password)$/;

async function call({ method, path, dryRun }: RegisteredRoute, as: string): Promise<number> {
  const body = method === "GET" ? {} : { body: { nonsense: true } };
  const address = `${path.replaceAll(/{\w+}/g, "none-such")}${dryRun ? "?dryRun=true" : ""}`;
  return (await api.send(address, { method, as, ...body })).status;
}
