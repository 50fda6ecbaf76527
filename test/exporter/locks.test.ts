import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import type { Destination } from "../../exporter/types.ts";
import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/secret.ts";
import { startAzureBlob, type FakeAzureBlob } from "../fakes/azure-blob.ts";
import { startGcs, type FakeGcs } from "../fakes/gcs.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { artifactOf } from "./given-destination.ts";
import { tempFolder } from "./given.ts";

const UNTIL = new Date("2099-01-01T00:00:00.000Z");
const CONTENT = Buffer.from("sealed");

let s3: FakeS3;
let gcs: FakeGcs;
let azure: FakeAzureBlob;
let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  folder = await tempFolder();
  s3 = await startS3("audit");
  gcs = await startGcs("audit");
  azure = await startAzureBlob();
});
afterAll(async () => {
  await folder.remove();
  await Promise.all([s3.stop(), gcs.stop(), azure.stop()]);
});

const clock = systemClock;
const STORES = {
  s3: (locks: boolean) => {
    const { accessKeyId, secretAccessKey } = s3.key;
    const credentials = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) };
    const place = { bucket: "audit", prefix: "x", region: "eu-central-1", endpoint: s3.url };
    return openStore({ kind: "s3", ...place, pathStyle: true, credentials, clock, locks });
  },
  gcs: () => openStore({ kind: "gcs", bucket: "audit", prefix: "x", endpoint: gcs.url, clock }),
  azure: () => {
    const connectionString = new Secret(azure.connectionString);
    const place = { container: "audit", prefix: "x", accountUrl: undefined };
    return openStore({ kind: "azure", ...place, connectionString, clock });
  },
};

function destinationAt(name: keyof typeof STORES, lockedUntil: Date | undefined): Destination {
  const store = STORES[name](lockedUntil !== undefined);
  return blobDestination({ name, store, lockedUntil: () => lockedUntil, lockSetting: "LOCK_DAYS" });
}

test.each(["s3", "gcs", "azure"] as const)(
  "%s: what an earlier attempt left there is taken for ours only with the lock that is asked for",
  async (name) => {
    const [locking, plain] = [destinationAt(name, UNTIL), destinationAt(name, undefined)];
    const file = async (called: string) => artifactOf(folder.path, called, CONTENT);
    await locking.upload(await file("locked"));
    await plain.upload(await file("unlocked"));

    const adopted = await locking.upload(await file("locked"));
    const refused = locking.upload(await file("unlocked"));

    expect(adopted).toMatchObject({ adopted: true, verifiedBy: "read-back-sha256" });
    await expect(refused).rejects.toThrow(/unlocked exists already without .* LOCK_DAYS/);
    expect(await plain.upload(await file("unlocked"))).toMatchObject({ adopted: true });
  },
);

test("S3: where locks are in use and may not be seen, nothing is deleted: it would be hidden only", async () => {
  const locking = destinationAt("s3", UNTIL);
  await locking.upload(await artifactOf(folder.path, "hidden", CONTENT));
  await locking.upload(await artifactOf(folder.path, "free", CONTENT));
  s3.setLock("x/free", undefined);
  await locking.remove("free");
  await locking.remove("never-there");

  s3.hideLocks();
  const blind = locking.remove("hidden");

  await expect(blind).rejects.toThrow(/may not be seen \(s3:GetObjectRetention\)/);
  expect([...s3.objects.keys()].filter((key) => /hidden|free/.test(key))).toEqual(["x/hidden"]);
  expect(s3.markers).toEqual(["x/free"]);
});

test.each([
  [403, "AccessDenied", false],
  [507, "QuotaExceeded", false],
  [400, "ObjectLockConfigurationNotFoundError", true],
  [501, "NotImplemented", true],
])("S3: %i %s: the lock's setting is blamed: %s", async (status, code, isBlamed) => {
  const locking = destinationAt("s3", UNTIL);
  const artifact = await artifactOf(folder.path, `refused-${code}`, CONTENT);
  s3.setFault({ kind: "status", status, code, methods: ["PUT"] });

  const message = await locking.upload(artifact).then(
    () => "it succeeded",
    (error: unknown) => (error as Error).message,
  );
  s3.setFault({ kind: "none" });

  expect(message).toContain(code);
  expect(message.includes("the setting must go")).toBe(isBlamed);
});
