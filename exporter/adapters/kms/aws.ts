import type { KMSClient } from "@aws-sdk/client-kms";
import type { KeyWrapper } from "../../types.ts";

export interface AwsKmsOptions {
  /** Key id, ARN or alias. */
  readonly keyId: string;
  /** Undefined: AWS_REGION or the profile, as the SDK finds it. */
  readonly region: string | undefined;
  /** For a stand-in; undefined: AWS. */
  readonly endpoint: string | undefined;
}

/** The SDK's defaults wait for ever on a server that accepts and never answers (measured). */
const CONNECT_TIMEOUT_MS = 2_000;
const ANSWER_TIMEOUT_MS = 3_000;
const ATTEMPTS_MAX = 2;

/**
 * AWS KMS. No encryption context: the documented `aws kms decrypt` gives none, and would be refused. Credentials come from the
 * SDK's usual chain.
 */
export function awsKmsWrapper(options: AwsKmsOptions): KeyWrapper {
  let connecting: Promise<KMSClient> | undefined;
  const client = async () => (connecting ??= connect(options));
  return {
    name: "aws_kms",
    id: options.keyId,
    wrap: async (dek) => {
      const { EncryptCommand } = await import("@aws-sdk/client-kms");
      const request = new EncryptCommand({ KeyId: options.keyId, Plaintext: dek });
      const { CiphertextBlob, KeyId } = await (await client()).send(request);
      if (CiphertextBlob === undefined) throw new Error("AWS KMS answered without a ciphertext");
      return { wrapped: Buffer.from(CiphertextBlob), keyId: KeyId ?? options.keyId };
    },
    unwrap: async (wrapped) => {
      const { DecryptCommand } = await import("@aws-sdk/client-kms");
      // Naming the key keeps a file that was made under somebody else's key from being opened by it.
      const request = new DecryptCommand({ KeyId: options.keyId, CiphertextBlob: wrapped });
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
