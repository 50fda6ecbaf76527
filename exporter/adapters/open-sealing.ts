import { readFile } from "node:fs/promises";
import { openWrappers } from "../../lib/adapters/kms/open.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { readSigningKey } from "../../lib/signed-note.ts";
import type { Layer } from "../build.ts";
import { usesEnvelope, usesPgp, type ExporterConfig } from "../config.ts";
import type { Signer } from "../manifest.ts";
import type { Sealing } from "../outputs.ts";
import { encryptTo } from "../pgp.ts";
import { readRecipients, type Recipient } from "../recipients.ts";
import { encryptByGpg } from "./gpg-cli.ts";
import { pgpSecrets } from "./pgp-secrets.ts";

/** Read anew for each run: keys expire, and files are replaced. @throws RecipientError naming a key that cannot be used */
export async function openSealing(config: ExporterConfig, log: Log): Promise<Sealing> {
  const recipients = usesPgp(config)
    ? await readRecipients(await pgpSources(config), systemClock.now())
    : [];
  for (const { fingerprint, warning } of recipients) {
    if (warning !== undefined)
      log.warn("PGP recipient may be unable to open files", { fingerprint, warning });
  }
  return {
    recipients,
    pgpComment: config.pgpComment,
    perRecipient: !config.pgpSingleFile && !config.gpgCli,
    encryptTo: config.gpgCli ? byGpg : encryptTo,
    compressed: config.compress === "zstd",
    wrappers: usesEnvelope(config) ? await openWrappers(config) : [],
    wrapRules: { quorum: config.kmsQuorum, selftest: config.kmsSelftest },
    jsonl: config.jsonl,
    keep: { plaintext: !config.pgpDeletePlaintext, original: !config.kmsDeleteOriginal },
    filenameSalt: config.filenameMode === "hashed" ? config.filenameSalt?.reveal() : undefined,
  };
}

function byGpg(recipients: readonly Recipient[], comment: string | undefined): Layer {
  return encryptByGpg("gpg", recipients, comment);
}

/** Who signs manifests; undefined when nobody does. @throws when the key file is open to others or holds no such key */
export async function openSigner(config: ExporterConfig): Promise<Signer | undefined> {
  const { signingKeyFile, signingKeyName: keyName } = config;
  if (signingKeyFile === undefined) return undefined;
  return { keyName, privateKey: await readSigningKey(signingKeyFile) };
}

async function pgpSources(config: ExporterConfig) {
  const inline = [
    { from: "AUDIT_PGP_PUBLIC_KEY", content: config.pgpPublicKey },
    { from: "AUDIT_PGP_PUBLIC_KEYS", content: config.pgpPublicKeys },
  ].flatMap(({ from, content }) =>
    content === undefined ? [] : [{ from, content: Buffer.from(content) }],
  );
  const paths = [config.pgpPublicKeyFile ?? [], config.pgpPublicKeyFiles].flat();
  const files = paths.map(async (path) => ({ from: path, content: await readFile(path) }));
  const secrets = config.pgpPublicKey === undefined ? await pgpSecrets(config) : [];
  return [...inline, ...(await Promise.all(files)), ...secrets];
}
