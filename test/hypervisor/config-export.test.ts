import { expect, test } from "@jest/globals";
import { openVault } from "../../hypervisor/adapters/open-vault.ts";
import { exportProblems, exportVariables } from "../../hypervisor/config-export.ts";
import { readConfig } from "../../lib/config.ts";
import { silentLog } from "../../lib/log.ts";

function read(env: Readonly<Record<string, string>>) {
  return readConfig(exportVariables, env);
}

test("the place and the keys are those that are named, and nothing else is", () => {
  const none = openVault(read({}), silentLog);
  expect([none.store, none.keys.size, none.partBytes]).toEqual([undefined, 0, 256_000_000]);

  const vault = openVault(
    read({
      HYPERVISOR_EXPORT_S3_BUCKET: "b",
      HYPERVISOR_EXPORT_PART_MB: "10",
      AWS_KMS_KEY_ID: "alias/fettle",
      AUDIT_LOCAL_KEY_FILE: "/k",
      AUDIT_KMS_QUORUM: "1",
    }),
    silentLog,
  );
  expect([vault.store?.name, [...vault.keys], vault.partBytes, vault.quorum]).toEqual([
    "s3://b/fettle",
    ["local", "aws_kms"],
    10_000_000,
    1,
  ]);
});

test.each([
  [
    { HYPERVISOR_EXPORT_DIR: "/d", HYPERVISOR_EXPORT_GCS_BUCKET: "b" },
    /^HYPERVISOR_EXPORT_GCS_BUCKET, HYPERVISOR_EXPORT_DIR: set one of them/,
  ],
  [
    { HYPERVISOR_EXPORT_DIR: "/d", AUDIT_LOCAL_KEY_FILE: "/k", AUDIT_KMS_QUORUM: "2" },
    /^AUDIT_KMS_QUORUM: must be at most 1/,
  ],
])("is refused: %j", (env, expected) => {
  expect(exportProblems(read(env))).toEqual([expect.stringMatching(expected)]);
});

test("keys that do not fit together are nobody's business where nothing is exported", () => {
  expect(exportProblems(read({ AUDIT_KMS_QUORUM: "2" }))).toEqual([]);
});
