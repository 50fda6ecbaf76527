import { readFile } from "node:fs/promises";
import { azureCredential } from "../../lib/adapters/kms/azure.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { messageOf } from "../../lib/error.ts";
import { exchange } from "../../lib/exchange.ts";
import type { ExporterConfig } from "../config.ts";

interface KeySource {
  readonly from: string;
  readonly content: Buffer;
}

const TIMEOUT_MS = 5_000;
const BYTES_MAX = 1024 * 1024;

/**
 * The public PGP keys that clouds keep as secrets: of every store that is configured. Asked for each run, as keys are replaced.
 *
 * @throws when one cannot be read: a recipient who is left out would be found out when he needs the file
 */
export async function pgpSecrets(config: ExporterConfig): Promise<readonly KeySource[]> {
  const { awsPgpSecret, gcpPgpSecret, azurePgpSecret } = config;
  const wanted = [
    ["AWS_PGP_SECRET_NAME", awsPgpSecret, fromAws],
    ["GCP_PGP_SECRET_NAME", gcpPgpSecret, fromGoogle],
    ["AZURE_KV_PGP_SECRET_NAME", azurePgpSecret, fromAzure],
  ] as const;
  const sources = wanted.map(async ([from, name, read]) => {
    if (name === undefined) return [];
    try {
      return [{ from, content: await read(name, config) }];
    } catch (cause) {
      throw new Error(`${from}: cannot read the PGP key ${name}: ${messageOf(cause)}`, { cause });
    }
  });
  return (await Promise.all(sources)).flat();
}

async function fromAws(name: string, config: ExporterConfig): Promise<Buffer> {
  const { GetSecretValueCommand, SecretsManagerClient } =
    await import("@aws-sdk/client-secrets-manager");
  const { awsRegion: region, awsSecretsEndpoint: endpoint } = config;
  const client = new SecretsManagerClient({
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    maxAttempts: 2,
    requestHandler: {
      connectionTimeout: TIMEOUT_MS,
      requestTimeout: TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  });
  const request = new GetSecretValueCommand({ SecretId: name });
  const { SecretString: text, SecretBinary: bytes } = await client.send(request);
  return Buffer.from(text ?? bytes ?? "");
}

const GOOGLE = "https://secretmanager.googleapis.com";

async function fromGoogle(name: string, config: ExporterConfig): Promise<Buffer> {
  const { gcpSecretsEndpoint: standIn, gcpProject: project = "" } = config;
  const secret = `projects/${project}/secrets/${encodeURIComponent(name)}/versions/latest`;
  const headers = standIn === undefined ? await googleHeaders() : {};
  const answer = await ask(`${standIn ?? GOOGLE}/v1/${secret}:access`, { headers });
  const { payload } = answer as { payload?: { data?: string; dataCrc32c?: string } };
  const content = Buffer.from(payload?.data ?? "", "base64");
  if (payload?.dataCrc32c !== String(crc32c(content)))
    throw new Error("the answer was changed on its way (CRC32C)");
  return content;
}

async function googleHeaders(): Promise<Record<string, string>> {
  const { GoogleAuth } = await import("google-auth-library");
  const auth = new GoogleAuth({ scopes: "https://www.googleapis.com/auth/cloud-platform" });
  return { authorization: `Bearer ${(await auth.getAccessToken()) ?? ""}` };
}

async function fromAzure(name: string, config: ExporterConfig): Promise<Buffer> {
  const { azureVaultUrl: vault = "", azureCaFile } = config;
  const ca = azureCaFile === undefined ? undefined : await readFile(azureCaFile, "utf8");
  const credential = await azureCredential({
    tenantId: config.azureTenantId,
    clientId: config.azureClientId,
    clientSecret: config.azureClientSecret,
    standInCa: ca,
  });
  const token = await credential.getToken("https://vault.azure.net/.default");
  const headers = { authorization: `Bearer ${token?.token ?? ""}` };
  const address = `${vault}/secrets/${encodeURIComponent(name)}?api-version=7.4`;
  const answer = await ask(address, { headers, ...(ca !== undefined && { tls: { ca } }) });
  return Buffer.from((answer as { value?: string }).value ?? "");
}

async function ask(
  address: string,
  request: Pick<Parameters<typeof exchange>[1], "headers" | "tls">,
): Promise<unknown> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const { status, text } = await exchange(address, { ...request, signal, bytesMax: BYTES_MAX });
  if (status !== 200) throw new Error(`the answer is ${status}`);
  return JSON.parse(text);
}
