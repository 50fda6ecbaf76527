import type { KMSClient } from "@aws-sdk/client-kms";
import type { KeyWrapper } from "../../envelope/types.ts";

export interface AwsKmsOptions {
  /** Key id, ARN or alias. */
  readonly keyId: string;
  /** Undefined: AWS_REGION or the profile, as the SDK finds it. */
  readonly region: string | undefined;
  /** For a stand-in; undefined: AWS. */
  readonly endpoint: string | undefined;
  /** Bound to each wrapped key: without it, or with another one, AWS does not open it. */
  readonly context: Readonly<Record<string, string>> | undefined;
}

/** The SDK's defaults wait for ever on a server that accepts and never answers (measured). */
const CONNECT_TIMEOUT_MS = 2_000;
const ANSWER_TIMEOUT_MS = 3_000;
const ATTEMPTS_MAX = 2;

/**
 * AWS KMS. No encryption context unless one is configured: the documented `aws kms decrypt` gives none, and would be refused.
 * Credentials come from the SDK's usual chain.
 */
export function awsKmsWrapper(options: AwsKmsOptions): KeyWrapper {
  const { context } = options;
  const bound = context === undefined ? {} : { EncryptionContext: { ...context } };
  let connecting: Promise<KMSClient> | undefined;
  const client = async () => (connecting ??= connect(options));
  return {
    name: "aws_kms",
    id: options.keyId,
    wrap: async (dek) => {
      const { EncryptCommand } = await import("@aws-sdk/client-kms");
      const request = new EncryptCommand({ KeyId: options.keyId, Plaintext: dek, ...bound });
      const { CiphertextBlob, KeyId } = await (await client()).send(request);
      if (CiphertextBlob === undefined) throw new Error("AWS KMS answered without a ciphertext");
      return { wrapped: Buffer.from(CiphertextBlob), keyId: KeyId ?? options.keyId, context };
    },
    unwrap: async (wrapped) => {
      const { DecryptCommand } = await import("@aws-sdk/client-kms");
      // Naming the key keeps a file that was made under somebody else's key from being opened by it.
      const request = new DecryptCommand({
        KeyId: options.keyId,
        CiphertextBlob: wrapped,
        ...bound,
      });
      const { Plaintext } = await (await client()).send(request);
      if (Plaintext === undefined) throw new Error("AWS KMS answered without a plaintext");
      return Buffer.from(Plaintext);
    },
  };
}

async function connect({ region, endpoint }: AwsKmsOptions): Promise<KMSClient> {
  const { KMSClient: Client } = await import("@aws-sdk/client-kms");
  return new Client({
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: ANSWER_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  });
}
