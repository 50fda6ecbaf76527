import type { TokenCredential } from "@azure/identity";
import type { CryptographyClient } from "@azure/keyvault-keys";
import type { Secret } from "../../secret.ts";
import type { KeyWrapper } from "../../envelope/types.ts";

export interface AzureKeyOptions {
  /** `https://<vault>.vault.azure.net/keys/<name>[/<version>]` */
  readonly keyId: string;
  /** All three, or none: then Azure's usual chain. */
  readonly tenantId: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: Secret | undefined;
  /** PEM of the authority of a stand-in on this machine, which gets no credentials; undefined: Azure. */
  readonly standInCa: string | undefined;
}

const ALGORITHM = "RSA-OAEP-256";
const TIMEOUT_MS = 5_000;

/**
 * Azure Key Vault. What is recorded is the key's version: after a rotation the newest version does not open old files, so
 * opening goes by the version that the file names, if it is one of this key.
 */
export function azureKeyWrapper(options: AzureKeyOptions): KeyWrapper {
  const { keyId } = options;
  return {
    name: "azure_kv",
    id: keyId,
    wrap: async (dek) => {
      const client = await connect(keyId, options);
      const { result, keyID } = await client.wrapKey(ALGORITHM, dek, timeout());
      return { wrapped: Buffer.from(result), keyId: keyID ?? keyId };
    },
    unwrap: async (wrapped, recordedId = keyId) => {
      if (!isVersionOf(recordedId, keyId)) {
        throw new Error(`wrong key: the envelope wants ${recordedId}, the key given is ${keyId}`);
      }
      const client = await connect(recordedId, options);
      const { result } = await client.unwrapKey(ALGORITHM, wrapped, timeout());
      return Buffer.from(result);
    },
  };
}

/** The file's word is not authenticated: it may choose the version, never the vault or the key. */
function isVersionOf(recordedId: string, keyId: string): boolean {
  const nameOf = (id: string) => {
    if (!URL.canParse(id)) return undefined;
    const { origin, pathname } = new URL(id);
    const [, kind, name] = pathname.split("/");
    return `${origin}/${kind ?? ""}/${name ?? ""}`;
  };
  const name = nameOf(recordedId);
  return name !== undefined && name === nameOf(keyId);
}

function timeout() {
  return { abortSignal: AbortSignal.timeout(TIMEOUT_MS) };
}

async function connect(keyId: string, options: AzureKeyOptions): Promise<CryptographyClient> {
  const { CryptographyClient: Client } = await import("@azure/keyvault-keys");
  const retryOptions = { maxRetries: 1 };
  const credential = await azureCredential(options);
  const ca = options.standInCa;
  if (ca === undefined) return new Client(keyId, credential, { retryOptions });
  return new Client(
    keyId,
    credential,
    // Otherwise the client refuses a host that is not Azure's.
    { retryOptions, disableChallengeResourceVerification: true, tlsOptions: { ca } },
  );
}

/** Of a service principal, or by Azure's usual chain. A stand-in gets a token that is worth nothing. */
export async function azureCredential({
  tenantId,
  clientId,
  clientSecret,
  standInCa,
}: Omit<AzureKeyOptions, "keyId">): Promise<TokenCredential> {
  const expiresOnTimestamp = Number.MAX_SAFE_INTEGER;
  if (standInCa !== undefined)
    return { getToken: async () => ({ token: "stand-in", expiresOnTimestamp }) };
  const { ClientSecretCredential, DefaultAzureCredential } = await import("@azure/identity");
  if (tenantId === undefined || clientId === undefined || clientSecret === undefined) {
    return new DefaultAzureCredential();
  }
  return new ClientSecretCredential(tenantId, clientId, clientSecret.reveal());
}
