import { createHash, createHmac } from "node:crypto";

/** Which host keys we accept: by fingerprint, or by the lines of a known_hosts file. */
export interface HostKeyPins {
  /** `SHA256:…` as OpenSSH prints it; several while a key is being changed. */
  readonly fingerprints: readonly string[];
  /** Content of a known_hosts file. */
  readonly knownHosts: string | undefined;
}

/** The fingerprint in OpenSSH's form. */
export function fingerprintOf(hostKey: Buffer): string {
  const digest = createHash("sha256").update(hostKey).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}

/** Whether the key that the server shows is one that we were told to expect. */
export function isExpectedHostKey(
  hostKey: Buffer,
  { host, port }: { readonly host: string; readonly port: number },
  pins: HostKeyPins,
): boolean {
  const shown = fingerprintOf(hostKey);
  if (pins.fingerprints.some((pin) => withPrefix(pin) === shown)) return true;
  const blob = hostKey.toString("base64");
  const entries = (pins.knownHosts ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  const ofThisKey = (fields: readonly string[], keyAt: number) => fields[keyAt] === blob;
  const isRevoked = entries.some((fields) => fields[0] === "@revoked" && ofThisKey(fields, 3));
  if (isRevoked) return false;
  // Lines with a marker (@cert-authority) are about certificates, which the client library does not use.
  return entries.some(
    (fields) => ofThisKey(fields, 2) && matchesHost(fields[0] ?? "", knownHostsName(host, port)),
  );
}

function withPrefix(pin: string): string {
  const bare = pin.trim().replace(/=+$/, "");
  return bare.startsWith("SHA256:") ? bare : `SHA256:${bare}`;
}

function knownHostsName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

function matchesHost(patterns: string, name: string): boolean {
  if (patterns.startsWith("|1|")) return matchesHashedHost(patterns, name);
  const all = patterns.split(",");
  if (all.some((pattern) => pattern.startsWith("!") && matchesPattern(pattern.slice(1), name))) {
    return false;
  }
  return all.some((pattern) => matchesPattern(pattern, name));
}

/** `|1|salt|HMAC-SHA1(salt, host)`, as `ssh-keygen -H` writes it. */
function matchesHashedHost(entry: string, name: string): boolean {
  const [, , salt = "", hash = ""] = entry.split("|");
  return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
}

function matchesPattern(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${expression}$`, "i").test(name);
}
