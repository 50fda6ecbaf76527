import { flag, withDefault, type Config } from "../lib/config.ts";

/** What is left unsealed, or sealed once less, beside the files that are delivered. */
export const keepShape = {
  pgpDeletePlaintext: withDefault(
    "AUDIT_PGP_DELETE_PLAINTEXT",
    flag,
    true,
    "false keeps the plain file beside the .gpg one in AUDIT_EXPORT_DIR; otherwise it never touches a disk",
  ),
  kmsDeleteOriginal: withDefault(
    "AUDIT_KMS_DELETE_ORIGINAL",
    flag,
    true,
    "false keeps what went into the envelope (.csv, .csv.gpg) beside it in AUDIT_EXPORT_DIR",
  ),
} as const;

/** What does not fit together. */
export function keepProblems(
  config: Config<typeof keepShape> & { readonly exportDir: string | undefined },
): string[] {
  if (config.exportDir !== undefined) return [];
  const wanted = [
    ["AUDIT_PGP_DELETE_PLAINTEXT", config.pgpDeletePlaintext],
    ["AUDIT_KMS_DELETE_ORIGINAL", config.kmsDeleteOriginal],
  ] as const;
  return wanted.flatMap(([name, deleted]) =>
    deleted ? [] : [`${name}: false needs AUDIT_EXPORT_DIR, where the file stays`],
  );
}
