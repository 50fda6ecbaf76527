import type { KeyManagementServiceClient } from "@google-cloud/kms";
import { crc32c } from "../../crc32c.ts";
import type { KeyWrapper } from "../../envelope/types.ts";

export interface GcpKmsOptions {
  /** `projects/…/locations/…/keyRings/…/cryptoKeys/…`, without a version: the primary one wraps. */
  readonly keyName: string;
  /** `http://127.0.0.1:port` of a stand-in, reached without credentials; undefined: Google. */
  readonly endpoint: string | undefined;
}

const CALL_OPTIONS = { timeout: 5_000, retry: null };

/**
 * Google Cloud KMS, with the checksums that Google recommends: it confirms that it got our bytes, and we that we got its.
 * Credentials come from the library's usual chain.
 */
export function gcpKmsWrapper(options: GcpKmsOptions): KeyWrapper {
  const name = options.keyName;
  let connecting: Promise<KeyManagementServiceClient> | undefined;
  const client = async () => (connecting ??= connect(options));
  return {
    name: "gcp_kms",
    id: name,
    wrap: async (dek) => {
      const request = { name, plaintext: dek, plaintextCrc32c: { value: crc32c(dek) } };
      const [answer] = await (await client()).encrypt(request, CALL_OPTIONS);
      const wrapped = bytesOf(answer.ciphertext);
      const version = answer.name ?? "";
      if (!version.startsWith(`${name}/cryptoKeyVersions/`)) {
        throw new Error(`Google KMS answered for another key: ${version}`);
      }
      if (answer.verifiedPlaintextCrc32c !== true) {
        throw new Error("Google KMS did not confirm that it got the data key unchanged");
      }
      requireChecksum(wrapped, answer.ciphertextCrc32c?.value);
      return { wrapped, keyId: version };
    },
    unwrap: async (wrapped) => {
      const request = { name, ciphertext: wrapped, ciphertextCrc32c: { value: crc32c(wrapped) } };
      const [answer] = await (await client()).decrypt(request, CALL_OPTIONS);
      const dek = bytesOf(answer.plaintext);
      requireChecksum(dek, answer.plaintextCrc32c?.value);
      return dek;
    },
  };
}

/** @param value a number, or its text: 64-bit in the protocol */
function requireChecksum(bytes: Buffer, value: unknown): void {
  if (String(value) !== String(crc32c(bytes))) {
    throw new Error("Google KMS's answer was changed on its way (CRC32C)");
  }
}

/** The REST transport gives base64 where gRPC gives bytes. */
function bytesOf(value: Uint8Array | string | null | undefined): Buffer {
  if (value === null || value === undefined) throw new Error("Google KMS answered without bytes");
  return typeof value === "string" ? Buffer.from(value, "base64") : Buffer.from(value);
}

async function connect({ endpoint }: GcpKmsOptions): Promise<KeyManagementServiceClient> {
  const { KeyManagementServiceClient: Client } = await import("@google-cloud/kms");
  if (endpoint === undefined) return new Client();
  const { PassThroughClient } = await import("google-auth-library");
  const { hostname, port } = new URL(endpoint);
  return new Client({
    fallback: true,
    protocol: "http",
    apiEndpoint: hostname,
    port: Number(port),
    authClient: new PassThroughClient(),
  });
}
