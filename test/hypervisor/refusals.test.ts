import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startLoki, type Loki } from "../fakes/loki.ts";
import { finished } from "./finished.ts";
import { givenHypervisor, STATIC_TOKEN, type Hypervisor } from "./given.ts";

const C = "/api/v1/containers";
const V = "/api/v1/storage/volumes";
const small = { image: "debian:12", cpus: 1, memory_bytes: 2 ** 26, disk_bytes: 2 ** 30 };

let api: Hypervisor;
let loki: Loki;
const tokens = { tenant: "", platform: STATIC_TOKEN };
beforeAll(async () => {
  loki = await startLoki();
  api = await givenHypervisor({ LOKI_URL: loki.url });
  const post = async (path: string, body: object) => api.send(path, { method: "POST", body });
  const quota = { cpu: 1, storage_gb: 1, snapshots: 0 };
  for (const id of ["own", "other"]) {
    await post("/api/v1/organizations", { id, name: id });
    await post("/api/v1/vdcs", {
      ...{ id: `${id}-v`, organization: id, name: id, project: `${id}-p` },
      ...(id === "own" ? { quota } : {}),
    });
    await finished(api, await post(`${C}?project=${id}-p`, { name: "web", ...small }));
  }
  tokens.tenant = (await api.person("OrgAdmin", { organization: "own" })).token;
});
afterAll(async () => {
  await api.stop();
  await loki.stop();
});

interface Refused {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly as?: keyof typeof tokens;
  readonly body?: object;
  readonly origin?: string;
  readonly status: number;
  readonly action: string;
}

const own = "project=own-p";
const foreign = "project=other-p";
const dry = "&dryRun=true";

/** What a caller may not do, once for each way in which it is found out. */
const REFUSED: readonly Refused[] = [
  ...["", dry].flatMap((more): readonly Refused[] => [
    {
      ...{ what: "a bridge for a tenant", method: "POST", path: `${C}?${own}${more}` },
      ...{ body: { name: "b", ...small, bridge: "br0" }, status: 403, action: "ContainerCreated" },
    },
    {
      ...{ what: "a container over the quota", method: "POST", path: `${C}?${own}${more}` },
      ...{ body: { name: "c", ...small }, status: 403, action: "ContainerCreated" },
    },
    {
      ...{ what: "limits over the quota", method: "PATCH", path: `${C}/web?${own}${more}` },
      ...{ body: { cpus: 2 }, status: 403, action: "ContainerUpdated" },
    },
    {
      ...{ what: "a volume over the quota", method: "POST", path: `${V}?${own}${more}` },
      ...{ body: { name: "v", pool: "default", size_bytes: 2 ** 31 } },
      ...{ as: "platform", status: 403, action: "StorageVolumeCreated" },
    },
    {
      ...{ what: "a snapshot over the quota", method: "POST" },
      ...{ path: `${C}/web/snapshots?${own}${more}`, body: {} },
      ...{ status: 403, action: "SnapshotCreated" },
    },
    {
      ...{
        what: "another's container removed",
        method: "DELETE",
        path: `${C}/web?${foreign}${more}`,
      },
      ...{ status: 404, action: "ContainerDeleted" },
    },
    {
      ...{ what: "another's container started", method: "POST" },
      ...{ path: `${C}/web/action?${foreign}${more}`, body: { action: "start" } },
      ...{ status: 404, action: "ContainerStarted" },
    },
    {
      ...{ what: "another's schedule removed", method: "DELETE" },
      ...{ path: `${C}/web/schedules/s?${foreign}${more}`, status: 404, action: "ScheduleDeleted" },
    },
    {
      ...{ what: "a pool removed by a tenant", method: "DELETE" },
      ...{ path: `/api/v1/storage/pools/default?x=1${more}`, status: 403 },
      ...{ action: "StoragePoolDeleted" },
    },
  ]),
  {
    ...{ what: "another's container read", method: "GET", path: `${C}/web?${foreign}` },
    ...{ status: 404, action: "AccessDenied" },
  },
  {
    ...{ what: "another's containers listed", method: "GET", path: `${C}?${foreign}` },
    ...{ status: 404, action: "AccessDenied" },
  },
  {
    ...{ what: "a write through the proxy", method: "POST", path: "/loki/loki/api/v1/push" },
    ...{ as: "platform", body: {}, status: 403, action: "AccessDenied" },
  },
  {
    ...{ what: "another site's page", method: "POST", path: C, origin: "https://evil.example" },
    ...{ body: {}, status: 403, action: "AccessDenied" },
  },
  {
    ...{ what: "a preflight for another site's page", method: "OPTIONS", path: C },
    ...{ origin: "https://evil.example", status: 403, action: "AccessDenied" },
  },
];

test("every refusal leaves one row, whichever part of the service refuses, also in a dry run", async () => {
  const seen: unknown[] = [];
  for (const { what, method, path, as = "tenant", body, origin } of REFUSED) {
    const before = (await api.rows()).length;
    const headers = origin === undefined ? {} : { origin, "access-control-request-method": "POST" };
    const { status } = await api.send(path, { method, as: tokens[as], body, headers });
    const added = (await api.rows()).slice(before);
    seen.push([what, path, status, added.map(({ event, result }) => [event, result])]);
  }

  expect(seen).toEqual(
    REFUSED.map(({ what, path, status, action }) => [what, path, status, [[action, "Refused"]]]),
  );
});

test("a dry run tells what the backend would refuse: not there, taken, in use", async () => {
  const post = async (path: string, body: object) => api.send(path, { method: "POST", body });
  await post("/api/v1/network/bridges", { name: "brtaken" });
  await post("/api/v1/network/bridges", { name: "brfree" });
  await finished(api, await post(`${C}?${foreign}`, { name: "on", ...small, bridge: "brtaken" }));
  await post("/api/v1/storage/pools", { name: "full", driver: "dir" });
  await post("/api/v1/storage/pools", { name: "empty", driver: "dir" });
  await post(`${V}?${foreign}`, { name: "vol", pool: "full", size_bytes: 2 ** 20 });
  const node = { node: "n", address: "127.0.0.1:8443" };
  const asked: readonly (readonly [number, string, string, object?])[] = [
    [404, "DELETE", "/api/v1/network/bridges/none-such"],
    [409, "DELETE", "/api/v1/network/bridges/brtaken"],
    [200, "DELETE", "/api/v1/network/bridges/brfree"],
    [409, "POST", "/api/v1/network/bridges", { name: "brtaken" }],
    [200, "POST", "/api/v1/network/bridges", { name: "brnew" }],
    [404, "DELETE", "/api/v1/storage/pools/none-such"],
    [409, "DELETE", "/api/v1/storage/pools/full"],
    [200, "DELETE", "/api/v1/storage/pools/empty"],
    [409, "POST", "/api/v1/storage/pools", { name: "full", driver: "dir" }],
    [200, "POST", "/api/v1/storage/pools", { name: "new", driver: "dir" }],
    [404, "DELETE", `${V}/none-such?pool=full&${foreign}`],
    [200, "DELETE", `${V}/vol?pool=full&${foreign}`],
    [409, "POST", `${V}?${foreign}`, { name: "vol", pool: "full" }],
    [404, "POST", `${V}?${foreign}`, { name: "vol", pool: "none-such" }],
    [200, "POST", `${V}?${foreign}`, { name: "new", pool: "full" }],
    [404, "POST", "/api/v1/cluster/leave", { node: "none-such" }],
    [200, "POST", "/api/v1/cluster/join", node],
  ];
  const seen: unknown[] = [];
  for (const [, method, path, body] of asked) {
    const dryPath = `${path}${path.includes("?") ? "&" : "?"}dryRun=true`;
    seen.push([(await api.send(dryPath, { method, body })).status, method, path]);
  }

  expect(seen).toEqual(asked.map(([status, method, path]) => [status, method, path]));
  await post("/api/v1/cluster/join", node);
  const again = await post("/api/v1/cluster/join?dryRun=true", node);
  expect([again.status, again.detail]).toEqual([409, "This server is in a cluster already."]);
});

test("a dry run of a container's removal tells what goes with it", async () => {
  const web = `${C}/web`;
  await finished(
    api,
    await api.send(`${web}/snapshots?${foreign}`, { method: "POST", body: { name: "one" } }),
  );
  const nightly = { name: "nightly", cron: "0 2 * * *", time_zone: "UTC", keep: { last: 1 } };
  await api.send(`${web}/schedules?${foreign}`, { method: "POST", body: nightly });

  const { status, body } = await api.send(`${web}?${foreign}${dry}`, { method: "DELETE" });

  expect([status, body["facts"]]).toEqual([
    200,
    expect.objectContaining({ snapshots: ["one"], schedules: ["nightly"] }),
  ]);
});

test("If-Match with another version stops a container's removal and its actions, before anything is done", async () => {
  const web = `${C}/web`;
  const action = { method: "POST", body: { action: "start" } };
  const etag = (await api.send(`${web}?${foreign}`)).headers.get("etag") ?? "";
  const stale = { "if-match": '"another"' };

  const refused = [
    await api.send(`${web}?${foreign}`, { method: "DELETE", headers: stale }),
    await api.send(`${web}/action?${foreign}`, { ...action, headers: stale }),
  ];
  expect(refused.map(({ status }) => status)).toEqual([412, 412]);
  const started = await api.send(`${web}/action?${foreign}`, {
    ...action,
    headers: { "if-match": etag },
  });
  expect([started.status, started.body["status"]]).toEqual([200, "running"]);
});
