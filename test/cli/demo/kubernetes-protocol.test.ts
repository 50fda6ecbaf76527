import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { startKubernetes, type Kubernetes } from "../../../cli/demo/kubernetes.ts";
import { patch, raw, restart, WEB, WEB_PATH } from "./given.ts";

let folder: string;
let api: Kubernetes;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kubernetes-"));
  api = await startKubernetes({
    token: "admin",
    readOnlyToken: "look",
    deployments: [{ ...WEB, replicas: 1 }],
    logFile: join(folder, "requests.jsonl"),
  });
});
afterEach(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

test.each<[what: string, path: string, init: RequestInit, token: string | null, expected: object]>([
  ["a wrong token", WEB_PATH, {}, "wrong", { status: 401, body: { message: "Unauthorized" } }],
  [
    "no token",
    WEB_PATH,
    {},
    null,
    {
      status: 403,
      body: {
        message:
          'deployments.apps "web" is forbidden: User "system:anonymous" cannot get resource "deployments" in API group "apps" in the namespace "default"',
        details: { name: "web", group: "apps", kind: "deployments" },
      },
    },
  ],
  [
    "a reader who writes",
    WEB_PATH,
    patch({}),
    "look",
    { status: 403, body: { reason: "Forbidden" } },
  ],
  [
    "an unknown name",
    "/apis/apps/v1/namespaces/default/deployments/nope",
    {},
    "admin",
    {
      status: 404,
      body: {
        message: 'deployments.apps "nope" not found',
        reason: "NotFound",
        details: { name: "nope", group: "apps", kind: "deployments" },
      },
    },
  ],
  ["an unknown path", "/apis/x/v1/y", {}, "admin", { status: 404, body: "404 page not found\n" }],
  [
    "a method that is not allowed",
    WEB_PATH,
    { method: "POST" },
    "admin",
    {
      status: 405,
      body: {
        message: "the server does not allow this method on the requested resource",
        reason: "MethodNotAllowed",
        details: {},
      },
    },
  ],
  [
    "a json-patch",
    WEB_PATH,
    patch([], "application/json-patch+json"),
    "admin",
    {
      status: 415,
      body: { message: "415: Unsupported Media Type", reason: "UnsupportedMediaType", details: {} },
    },
  ],
  [
    "a negative scale",
    WEB_PATH,
    patch({ spec: { replicas: -1 } }),
    "admin",
    {
      status: 422,
      body: {
        message:
          'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
      },
    },
  ],
  [
    "broken JSON",
    WEB_PATH,
    patch("{bad"),
    "admin",
    { status: 400, body: { reason: "BadRequest" } },
  ],
  ["a health check without a token", "/readyz", {}, null, { status: 200, body: "ok" }],
])("answers %s as the real server does", async (_what, path, init, token, expected) => {
  expect(await raw(api, path, init, token)).toMatchObject(expected);
});

test("scripted faults: a status, a hang, and a cut after the effect", async () => {
  api.failNext({ method: "PATCH", path: WEB_PATH, status: 503 });
  expect(await raw(api, WEB_PATH, patch(restart("a")))).toMatchObject({ status: 503 });

  api.failNext({ path: /deployments/, hang: true });
  const hung = raw(api, WEB_PATH, { signal: AbortSignal.timeout(50) });
  await expect(hung).rejects.toThrow("timeout");

  api.failNext({ method: "PATCH", closeAfterEffect: true });
  await expect(raw(api, WEB_PATH, patch(restart("b")))).rejects.toThrow("fetch failed");

  expect(await raw(api, WEB_PATH)).toMatchObject({ status: 200 });
  expect(api.requests.map(({ status, effective }) => [status, effective])).toEqual([
    [503, false],
    [null, false],
    [null, true],
    [200, false],
  ]);
});

test("the log file holds each request as a line before its answer arrives", async () => {
  await raw(api, WEB_PATH, patch(restart("x")));

  const lines = (await readFile(join(folder, "requests.jsonl"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(api.requests);
});
