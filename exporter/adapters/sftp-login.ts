import type SftpClient from "ssh2-sftp-client";
import type { Secret } from "../../lib/secret.ts";

type ConnectOptions = SftpClient.ConnectOptions;
/** Chooses the next way to log in. */
type Login = Extract<NonNullable<ConnectOptions["authHandler"]>, (...args: never[]) => unknown>;

export interface Credentials {
  readonly username: string;
  readonly password: Secret | undefined;
  readonly privateKey: Secret | undefined;
  readonly passphrase: Secret | undefined;
}

/** Who we are, and how we show it. */
export function loginOptions(credentials: Credentials): ConnectOptions {
  const { username, password, privateKey, passphrase } = credentials;
  return {
    username,
    ...(password !== undefined && { password: password.reveal() }),
    ...(privateKey !== undefined && { privateKey: privateKey.reveal().replaceAll("\\n", "\n") }),
    ...(passphrase !== undefined && { passphrase: passphrase.reveal() }),
    authHandler: loginBy(credentials),
  };
}

/**
 * The key, the password, and what servers behind PAM ask in place of it: one hidden question. Only what the server names, and each
 * once; a password that was refused is not the answer to the question, because three wrong ones lock many an account.
 */
function loginBy({ username, password, privateKey }: Credentials): Login {
  const ours: ("publickey" | "password" | "keyboard-interactive")[] = [
    ...(privateKey === undefined ? [] : (["publickey"] as const)),
    ...(password === undefined ? [] : (["password", "keyboard-interactive"] as const)),
  ];
  const tried = new Set<string>();
  return (left: readonly string[] | null, _partial, next) => {
    // The first question is what there is to choose from.
    if (left === null) {
      next("none");
      return;
    }
    const method = ours.find(
      (each) =>
        left.includes(each) &&
        !tried.has(each) &&
        !(each === "keyboard-interactive" && tried.has("password")),
    );
    if (method === undefined) {
      next(NONE_LEFT);
      return;
    }
    tried.add(method);
    if (method !== "keyboard-interactive") next(method);
    else next({ type: method, username, prompt: answerOnce(password?.reveal() ?? "") });
  };
}

/** For the library; its types leave it out. */
const NONE_LEFT = false as unknown as "none";

type Prompt = (
  name: string,
  instructions: string,
  language: string,
  prompts: readonly { readonly echo?: boolean }[],
  finish: (answers: string[]) => void,
) => void;

/** Whoever asks for something else, or again, gets nothing: it may be a code, or a new password. */
function answerOnce(password: string): Prompt {
  let isAnswered = false;
  return (_name, _instructions, _language, prompts, finish) => {
    const [only, ...others] = prompts;
    const isPassword = !isAnswered && only?.echo !== true && others.length === 0;
    isAnswered = true;
    finish(isPassword ? [password] : prompts.map(() => ""));
  };
}
