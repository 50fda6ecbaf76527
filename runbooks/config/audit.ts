import { optional, text, withDefault, type Kind } from "../../lib/config.ts";

const keyName: Kind<string> = text.refine((value) => /^[^\s+]+$/u.test(value), {
  error: "must not hold blanks or +",
});

/** As the exporter's: one key signs the checkpoints of the record and the manifests of its exports. */
export const auditVariables = {
  auditSigningKeyFile: optional(
    "AUDIT_SIGNING_KEY_FILE",
    text,
    "Ed25519 key (PKCS#8 PEM, mode 600) that signs a checkpoint of the record every five minutes",
  ),
  auditSigningKeyName: withDefault(
    "AUDIT_SIGNING_KEY_NAME",
    keyName,
    "fettle-audit",
    "what the key is called in its signatures",
  ),
} as const;
