import express from "express";
import { expect, test } from "@jest/globals";
import { OPERATIONAL, refuseUnlisted } from "../../../hypervisor/frame/operational.ts";
import { rawPath, shownRaw } from "../../../hypervisor/frame/raw.ts";
import type { AnyRoute } from "../../../hypervisor/frame/route.ts";

const raw = { prefix: "/grafana", permission: "dashboards:read", summary: "x" } as const;
const cups: AnyRoute = {
  ...{
    method: "get",
    path: "/cups/:name",
    permission: "container:read",
    summary: "x",
    answers: {},
  },
};

function appOf(add: (app: express.Express) => void): express.Express {
  const app = express();
  for (const { path } of OPERATIONAL) app.get(path, () => undefined);
  app.get(cups.path, () => undefined);
  app.all(rawPath(raw), () => undefined);
  add(app);
  return app;
}

test("what stands in the table may be served", () => {
  const app = appOf(() => undefined);

  expect(() => {
    refuseUnlisted(app, [cups, shownRaw(raw)]);
  }).not.toThrow();
});

test.each<[string, (app: express.Express) => unknown]>([
  ["POST /cups/:name", (app) => app.post("/cups/:name", () => undefined)],
  ["GET /debug", (app) => app.get("/debug", () => undefined)],
  ["GET /loki/*path", (app) => app.all("/loki{/*path}", () => undefined)],
])("%s, added past the table, keeps the service from starting", (name, add) => {
  const app = appOf(add);

  expect(() => {
    refuseUnlisted(app, [cups, shownRaw(raw)]);
  }).toThrow(`route ${name} stands in no table`);
});
