import { createHash } from "node:crypto";
import { addAbortSignal } from "node:stream";
import { connect } from "node:tls";
import { z } from "zod";
import { messageOf } from "../../../lib/error.ts";
import { parseJson } from "../../../lib/parse-json.ts";
import { BackendError } from "../error.ts";

const ADDRESSES_MAX = 16;

const tokenSchema = z.object({
  /** SHA-256 of the cluster's certificate, hexadecimal. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** host:port of members. */
  addresses: z
    .array(z.string().regex(/^\S{1,255}:\d{1,5}$/))
    .min(1)
    .max(ADDRESSES_MAX),
});

/** What stands in a join token (`lxc cluster add`): base64 of JSON. @throws BackendError `invalid`, without the token */
export function readToken(token: string): z.infer<typeof tokenSchema> {
  const parsed = tokenSchema.safeParse(parseJson(Buffer.from(token, "base64").toString("utf8")));
  if (parsed.success) return parsed.data;
  throw new BackendError(
    "invalid",
    "token: must be a join token that a member of the cluster gave",
  );
}

/** The certificate of the first member that has the one that the token names. @throws BackendError `unavailable` */
export async function certificateOf(
  addresses: readonly string[],
  fingerprint: string,
  signal: AbortSignal,
): Promise<{ readonly address: string; readonly certificate: string }> {
  const complaints: string[] = [];
  for (const address of addresses) {
    try {
      return { address, certificate: await presented(address, fingerprint, signal) };
    } catch (error) {
      signal.throwIfAborted();
      complaints.push(`${address}: ${messageOf(error)}`);
    }
  }
  throw new BackendError(
    "unavailable",
    `no member of the cluster answers: ${complaints.join("; ")}`,
  );
}

const CONNECT_TIMEOUT_MS = 5_000;

async function presented(address: string, fingerprint: string, signal: AbortSignal) {
  const { hostname, port } = new URL(`https://${address}`);
  return new Promise<string>((resolve, reject) => {
    // Nothing is sent before the certificate is known to be the one that the token names.
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port === "" ? 443 : port),
      rejectUnauthorized: false,
    });
    addAbortSignal(signal, socket);
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const { raw } = socket.getPeerCertificate();
      const digest = createHash("sha256").update(raw).digest("hex");
      socket.destroy();
      if (digest === fingerprint) resolve(pem(raw));
      else reject(new Error("it shows another certificate than the token says"));
    });
  });
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
