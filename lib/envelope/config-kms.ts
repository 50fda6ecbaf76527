import {
  flag,
  integer,
  optional,
  readConfig,
  secret,
  text,
  url,
  withDefault,
  type Config,
  type Environment,
} from "../config.ts";
import { isLoopbackHost } from "../loopback.ts";

/** `app=fettle,env=prod`: names and values as AWS KMS takes them, without commas. */
const contextKind = text
  .refine((value) => value.split(",").every((pair) => /^[^=]+=.+$/.test(pair.trim())), {
    error: "must be name=value pairs with commas between them",
  })
  .transform((value): Readonly<Record<string, string>> =>
    Object.fromEntries(
      value.split(",").map((pair) => {
        const [name = "", ...rest] = pair.trim().split("=");
        return [name, rest.join("=")];
      }),
    ),
  );

/** Where data keys are wrapped; also what `fettle decrypt` reads. */
export const kmsShape = {
  localKeyFile: optional(
    "AUDIT_LOCAL_KEY_FILE",
    text,
    "32-byte key that wraps data keys, mode 600",
  ),
  awsKmsKeyId: optional("AWS_KMS_KEY_ID", text, "AWS KMS key (id, ARN or alias) that wraps them"),
  awsRegion: optional("AWS_REGION", text, "its region"),
  awsKmsEndpoint: optional("AWS_ENDPOINT_URL_KMS", url, "another address of AWS KMS"),
  awsKmsContext: optional(
    "AWS_KMS_ENCRYPTION_CONTEXT",
    contextKind,
    "encryption context of data keys, name=value,...; whoever opens a file must give it again",
  ),
  gcpKmsKey: optional(
    "GCP_KMS_KEY",
    text.refine(
      (value) =>
        /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/.test(value),
      {
        error: "must be projects/.../locations/.../keyRings/.../cryptoKeys/...",
      },
    ),
    "Google Cloud KMS key that wraps them",
  ),
  gcpKmsEndpoint: optional("GCP_KMS_ENDPOINT", url, "a stand-in of Google KMS on this machine"),
  azureKeyId: optional(
    "AZURE_KV_KEY_ID",
    url,
    "Azure Key Vault key that wraps them: https://.../keys/...",
  ),
  azureTenantId: optional("AZURE_TENANT_ID", text, "with the next two; or Azure's usual chain"),
  azureClientId: optional("AZURE_CLIENT_ID", text, "application that may wrap keys"),
  azureClientSecret: optional("AZURE_CLIENT_SECRET", secret, "its secret"),
  azureCaFile: optional(
    "AZURE_KV_CA_FILE",
    text,
    "certificate authority of a stand-in of Azure Key Vault on this machine",
  ),
  kmsQuorum: optional(
    "AUDIT_KMS_QUORUM",
    integer({ min: 1, max: 4 }),
    "how many of the wrapping keys must answer; all when unset",
  ),
  kmsSelftest: withDefault(
    "AUDIT_KMS_SELFTEST",
    flag,
    true,
    "open each wrapped key again before use; off where the exporter may only encrypt",
  ),
} as const;

export type KmsConfig = Config<typeof kmsShape>;

/** @throws ConfigError */
export function readKmsConfig(env: Environment): KmsConfig {
  return readConfig(kmsShape, env);
}

/** How many wrapping keys are configured. */
export function countKeys(config: KmsConfig): number {
  const { localKeyFile, awsKmsKeyId, gcpKmsKey, azureKeyId } = config;
  return [localKeyFile, awsKmsKeyId, gcpKmsKey, azureKeyId].filter((key) => key !== undefined)
    .length;
}

/** What does not fit together. */
export function kmsProblems(config: KmsConfig): string[] {
  const problems: string[] = [];
  const keys = countKeys(config);
  if (config.kmsQuorum !== undefined && config.kmsQuorum > keys) {
    problems.push(
      `AUDIT_KMS_QUORUM: must be at most ${keys}, the number of keys, got ${config.kmsQuorum}`,
    );
  }
  const { gcpKmsEndpoint, azureKeyId, azureCaFile } = config;
  if (gcpKmsEndpoint !== undefined && !isLocal(gcpKmsEndpoint)) {
    problems.push("GCP_KMS_ENDPOINT: must be on this machine: it is reached without credentials");
  }
  if (azureKeyId?.startsWith("http://") === true) {
    problems.push("AZURE_KV_KEY_ID: must be an https:// address");
  }
  if (azureCaFile !== undefined && azureKeyId !== undefined && !isLocal(azureKeyId)) {
    problems.push("AZURE_KV_CA_FILE: is for a stand-in on this machine only");
  }
  return problems;
}

function isLocal(address: string): boolean {
  return isLoopbackHost(new URL(address).hostname);
}
