import type { Credentials, TlsAccess, TlsFiles } from "./access.ts";
import type { Secret } from "./secret.ts";
import { readTlsFiles } from "./tls-files.ts";

interface Login {
  readonly token: Secret | undefined;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
}

/** A bearer token or a user with a password; `names` are the variables', for the problems. */
export function readLogin(
  { token, user, password }: Login,
  names: Readonly<Record<keyof Login, string>>,
  problems: string[],
): Pick<Credentials, "token" | "basic"> {
  if ((user === undefined) !== (password === undefined)) {
    const [missing, set] =
      user === undefined ? [names.user, names.password] : [names.password, names.user];
    problems.push(`${missing}: is required when ${set} is set`);
  }
  if (user?.includes(":") === true) problems.push(`${names.user}: must not contain a colon`);
  if (token !== undefined && user !== undefined) {
    problems.push(`${names.user}: cannot be set together with ${names.token}`);
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token.reveal())) {
    problems.push(`${names.token}: must be printable ASCII without blanks`);
  }
  return {
    token,
    basic: user === undefined || password === undefined ? undefined : { user, password },
  };
}

/** The PEM files of a connection; `names` are the variables' of the files and of the address they belong to. */
export function readTls(
  files: TlsFiles,
  names: Readonly<Record<keyof TlsFiles | "url", string>>,
  { secure, problems }: { readonly secure: boolean; readonly problems: string[] },
): TlsAccess | undefined {
  const first = (["ca", "cert", "key"] as const).find((file) => files[file] !== undefined);
  if (first === undefined) return undefined;
  const before = problems.length;
  if (!secure) problems.push(`${names[first]}: needs an https:// address in ${names.url}`);
  if ((files.cert === undefined) !== (files.key === undefined)) {
    const [missing, set] =
      files.key === undefined ? [names.key, names.cert] : [names.cert, names.key];
    problems.push(`${missing}: is required when ${set} is set`);
  }
  const { texts, problems: unusable } = readTlsFiles(files);
  problems.push(...unusable.map(({ file, text }) => `${names[file]}: ${text}`));
  return problems.length > before ? undefined : { files, texts };
}
