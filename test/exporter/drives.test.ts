import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import {
  drillExports,
  exportOnce,
  readExporterConfig,
  retainExports,
} from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { makeCertificates, type Certificates } from "../detector/given-certificates.ts";
import { startDropbox, type FakeDropbox } from "../fakes/dropbox.ts";
import { startGoogleDrive, type FakeGoogleDrive } from "../fakes/google-drive.ts";
import { startGraph, type FakeGraph } from "../fakes/graph.ts";
import { givenExportOf } from "./given-aged.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, localKeyFile } from "./given.ts";

let certificates: Certificates;
let google: FakeGoogleDrive;
let dropbox: FakeDropbox;
let graph: FakeGraph;
let trail: Trail;

beforeAll(async () => {
  certificates = await makeCertificates();
});
afterAll(async () => certificates.remove());
beforeEach(async () => {
  google = await startGoogleDrive();
  dropbox = await startDropbox();
  const { key, cert } = certificates.server;
  graph = await startGraph({
    key: await readFile(key, "utf8"),
    cert: await readFile(cert, "utf8"),
  });
  trail = await givenTrail();
});
afterEach(async () => {
  await trail.remove();
  for (const fake of [google, dropbox, graph]) await fake.stop();
});

const variables = async (more: Readonly<Record<string, string>> = {}) => ({
  AIOPS_DATABASE_URL: trail.url,
  AUDIT_WORK_DIR: `${trail.folder}/work`,
  AUDIT_ENC_MODE: "kms",
  AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder),
  GDRIVE_FOLDER_ID: google.folderId,
  GDRIVE_CREDENTIALS: google.serviceAccount,
  GDRIVE_SUBJECT: "audit@example.com",
  GDRIVE_ENDPOINT: google.url,
  DROPBOX_FOLDER: "/Audit",
  DROPBOX_APP_KEY: dropbox.appKey,
  DROPBOX_APP_SECRET: dropbox.appSecret,
  DROPBOX_REFRESH_TOKEN: dropbox.refreshToken,
  DROPBOX_ENDPOINT: dropbox.url,
  MS_TENANT_ID: graph.tenantId,
  MS_CLIENT_ID: graph.clientId,
  MS_CLIENT_SECRET: graph.clientSecret,
  MS_GRAPH_URL: graph.url,
  MS_AUTHORITY_HOST: graph.authorityHost,
  MS_CA_FILE: certificates.authority,
  ONEDRIVE_USER: "audit@example.com",
  ONEDRIVE_FOLDER: "Audit trail/2026",
  SHAREPOINT_SITE: "example.sharepoint.com:/sites/audit",
  ...more,
});

test("an export goes to four drives, a drill opens it from each, and retention takes the old ones away", async () => {
  const config = readExporterConfig(
    await variables({
      GDRIVE_RETENTION_DAYS: "30",
      DROPBOX_RETENTION_DAYS: "30",
      ONEDRIVE_RETENTION_DAYS: "30",
      SHAREPOINT_RETENTION_DAYS: "30",
    }),
  );
  google.putForeign("accounts.xlsx", Buffer.from("somebody's"));
  const names: string[] = [];
  for (const days of [90, 80, 20, 10, 1]) {
    const { files, receipts } = await givenExportOf(days, trail, config);
    names.push(files[0]?.name ?? "");
    expect(receipts.map(({ destination, verifiedBy }) => [destination, verifiedBy])).toEqual([
      ["gdrive", "server-hash(sha256)"],
      ["dropbox", "server-hash(content-hash)"],
      ["onedrive", "server-hash(quickxor)"],
      ["sharepoint", "server-hash(quickxor)"],
    ]);
  }

  const drills = await drillExports(config, silentLog);
  const retained = await retainExports(config, false, silentLog);

  const four = ["gdrive", "dropbox", "onedrive", "sharepoint"];
  expect(drills.map(({ destination, problem }) => [destination, problem])).toEqual(
    four.map((destination) => [destination, undefined]),
  );
  expect(retained.map(({ destination, deleted }) => [destination, deleted])).toEqual(
    four.map((destination) => [destination, names.slice(0, 2)]),
  );
  const stay = names.slice(2);
  expect([...google.files().keys()]).toEqual(["accounts.xlsx", ...stay]);
  expect([...dropbox.files().keys()]).toEqual(stay.map((name) => `/Audit/${name}`));
  expect([...graph.files().keys()].sort()).toEqual([
    ...stay.map((name) => `/sites/example.sharepoint.com:/sites/audit:/drive/${name}`),
    ...stay.map((name) => `/users/audit@example.com/drive/Audit trail/2026/${name}`),
  ]);
  expect(google.subject()).toBe("audit@example.com");
}, 60_000);

test("a drive that is down leaves the export open; the next run gives it what it lacks and the others nothing twice", async () => {
  const config = readExporterConfig(
    await variables({
      GDRIVE_CREDENTIALS: "",
      GDRIVE_SUBJECT: "",
      GDRIVE_CLIENT_ID: google.person.clientId,
      GDRIVE_CLIENT_SECRET: google.person.clientSecret,
      GDRIVE_REFRESH_TOKEN: google.person.refreshToken,
      ONEDRIVE_USER: "",
      ONEDRIVE_DRIVE_ID: "b!1234",
      SHAREPOINT_SITE: "",
    }),
  );
  await addRows(trail.client, 3);
  dropbox.setFault({ kind: "status", status: 500, code: "internal_error" });
  await expect(exportOnce(config, silentLog)).rejects.toThrow(/^dropbox: .*500 internal_error/);
  dropbox.setFault({ kind: "none" });

  const { rows, files, receipts } = await exportOnce(config, silentLog);

  expect(rows).toBe(3);
  expect(receipts).toHaveLength(3);
  const [name = ""] = files.map((file) => file.name);
  expect([...google.files().keys()]).toEqual([name]);
  expect([...dropbox.files().keys()]).toEqual([`/Audit/${name}`]);
  expect([...graph.files().keys()]).toEqual([`/drives/b!1234/Audit trail/2026/${name}`]);
}, 60_000);

test.each([
  [{ GDRIVE_REFRESH_TOKEN: "r" }, /GDRIVE_CLIENT_ID, .*: set all three, or none/],
  [{ GDRIVE_ENDPOINT: "http://example.com" }, /GDRIVE_ENDPOINT: must be on this machine/],
  [{ GDRIVE_FOLDER_ID: "x' or '1'='1" }, /GDRIVE_FOLDER_ID: must be an id/],
  [{ DROPBOX_ACCESS_TOKEN: "t" }, /DROPBOX_REFRESH_TOKEN, DROPBOX_ACCESS_TOKEN: set one/],
  [{ DROPBOX_APP_KEY: "" }, /DROPBOX_APP_KEY: is required/],
  [{ DROPBOX_FOLDER: "Audit" }, /DROPBOX_FOLDER: must be a path/],
  [{ DROPBOX_ENDPOINT: "https://example.com" }, /DROPBOX_ENDPOINT: must be on this machine/],
  [{ MS_CLIENT_SECRET: "" }, /MS_CLIENT_SECRET: is required by ONEDRIVE_USER/],
  [{ MS_GRAPH_URL: "http://example.com" }, /MS_GRAPH_URL: must be an https/],
  [{ MS_AUTHORITY_HOST: "https://login.microsoftonline.us" }, /MS_CA_FILE: is for/],
  [{ ONEDRIVE_DRIVE_ID: "b!1" }, /ONEDRIVE_USER, ONEDRIVE_DRIVE_ID: set one of them/],
  [{ ONEDRIVE_FOLDER: "a/../b" }, /ONEDRIVE_FOLDER: must be folder names/],
  [{ SHAREPOINT_SITE: "https://example.com" }, /SHAREPOINT_SITE: must be host/],
  [{ AIOPS_DATABASE_URL: "mock", GDRIVE_ENDPOINT: "" }, /GDRIVE_FOLDER_ID: demo rows stay/],
])("%j is refused", async (more, problem) => {
  const given = await variables(more);

  expect(() => readExporterConfig(given)).toThrow(problem);
});
