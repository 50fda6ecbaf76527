import { expect, test } from "@jest/globals";
import { systemClock } from "../../../lib/clock.ts";
import { readConfig } from "../../../lib/config.ts";
import { placeOptions } from "../../../lib/place-config.ts";
import { collectorProblems, collectorVariables } from "../../../runbooks/config/collector.ts";

function read(env: Readonly<Record<string, string>>) {
  return readConfig(collectorVariables, env);
}

test("each destination has its store, and none is the database", () => {
  const options = (env: Readonly<Record<string, string>>) => placeOptions(read(env), systemClock);

  expect(options({})).toBeUndefined();
  expect(options({ COLLECTOR_DIR: "/data" })).toEqual({ kind: "folder", path: "/data" });
  expect(options({ COLLECTOR_S3_BUCKET: "b" })).toMatchObject({
    kind: "s3",
    bucket: "b",
    prefix: "fettle",
    pathStyle: false,
  });
  expect(
    options({ COLLECTOR_S3_BUCKET: "b", COLLECTOR_S3_ENDPOINT: "http://minio:9000" }),
  ).toMatchObject({ endpoint: "http://minio:9000", pathStyle: true });
  expect(options({ COLLECTOR_GCS_BUCKET: "b", COLLECTOR_PREFIX: "a/b" })).toMatchObject({
    kind: "gcs",
    prefix: "a/b",
  });
  expect(
    options({ COLLECTOR_AZURE_CONTAINER: "c", COLLECTOR_AZURE_URL: "https://a.example" }),
  ).toMatchObject({ kind: "azure", container: "c", accountUrl: "https://a.example" });
});

test.each([
  [
    { COLLECTOR_DIR: "/d", COLLECTOR_S3_BUCKET: "b" },
    /^COLLECTOR_S3_BUCKET, COLLECTOR_DIR: set one/,
  ],
  [
    { COLLECTOR_AZURE_CONTAINER: "c" },
    /^COLLECTOR_AZURE_URL, COLLECTOR_AZURE_CONNECTION_STRING: set one/,
  ],
  [{ COLLECTOR_PREFIX: "../x y" }, /^COLLECTOR_PREFIX: must be names of letters/],
])("is refused: %j", (env, expected) => {
  expect(collectorProblems(read(env))).toEqual([expect.stringMatching(expected)]);
});
