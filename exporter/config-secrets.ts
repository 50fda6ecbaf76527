import { optional, text, url, type Config } from "../lib/config.ts";
import { isLoopbackHost } from "../lib/loopback.ts";

const secretName = text.refine((value) => /^[\w/+=.@:-]+$/.test(value), {
  error: "must be the name of a secret",
});

/** Public PGP keys that are kept in a cloud's store of secrets; asked when AUDIT_PGP_PUBLIC_KEY is not set. */
export const secretsShape = {
  awsPgpSecret: optional(
    "AWS_PGP_SECRET_NAME",
    secretName,
    "secret of AWS Secrets Manager with public PGP keys, when AUDIT_PGP_PUBLIC_KEY is not set",
  ),
  awsSecretsEndpoint: optional(
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    url,
    "another address of AWS Secrets Manager",
  ),
  gcpProject: optional("GCP_PROJECT_ID", secretName, "project of GCP_PGP_SECRET_NAME"),
  gcpPgpSecret: optional(
    "GCP_PGP_SECRET_NAME",
    secretName,
    "secret of Google Secret Manager with public PGP keys, likewise",
  ),
  gcpSecretsEndpoint: optional(
    "GCP_SECRET_MANAGER_ENDPOINT",
    url,
    "a stand-in of Google Secret Manager on this machine, asked without credentials",
  ),
  azureVaultUrl: optional("AZURE_KEY_VAULT_URL", url, "vault of AZURE_KV_PGP_SECRET_NAME"),
  azurePgpSecret: optional(
    "AZURE_KV_PGP_SECRET_NAME",
    secretName,
    "secret of Azure Key Vault with public PGP keys, likewise",
  ),
} as const;

type SecretsConfig = Config<typeof secretsShape>;

export function hasPgpSecret({ awsPgpSecret, gcpPgpSecret, azurePgpSecret }: SecretsConfig) {
  return [awsPgpSecret, gcpPgpSecret, azurePgpSecret].some((name) => name !== undefined);
}

/** What does not fit together. */
export function secretProblems(config: SecretsConfig): string[] {
  const problems: string[] = [];
  const { gcpSecretsEndpoint, azureVaultUrl } = config;
  if (config.gcpPgpSecret !== undefined && config.gcpProject === undefined)
    problems.push("GCP_PROJECT_ID: is required by GCP_PGP_SECRET_NAME");
  if (config.azurePgpSecret !== undefined && azureVaultUrl === undefined)
    problems.push("AZURE_KEY_VAULT_URL: is required by AZURE_KV_PGP_SECRET_NAME");
  if (azureVaultUrl?.startsWith("http://") === true)
    problems.push("AZURE_KEY_VAULT_URL: must be an https:// address");
  if (gcpSecretsEndpoint !== undefined && !isLoopbackHost(new URL(gcpSecretsEndpoint).hostname))
    problems.push(
      "GCP_SECRET_MANAGER_ENDPOINT: must be on this machine: it is asked without credentials",
    );
  return problems;
}
