import { randomBytes } from "node:crypto";
import { messageOf } from "../error.ts";
import type { KeyWrapper, WrappedKey } from "./types.ts";

/** A fresh data key and its wrapped copies. Whoever uses `dek` zeroes it. */
export interface DataKey {
  readonly dek: Buffer;
  /** Base64, by wrapper name. */
  readonly wrappedKeys: Readonly<Record<string, string>>;
  readonly keyIds: Readonly<Record<string, string>>;
  /** Likewise; only of those that bind one. */
  readonly contexts: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Why wrappers are missing that did not have to answer. */
  readonly failures: readonly string[];
}

export interface WrapRules {
  /** How many wrappers must answer; undefined: all. */
  readonly quorum: number | undefined;
  /** Each wrap is opened again and compared. Needs the right to decrypt. */
  readonly selftest: boolean;
}

const DEK_BYTES = 32;

/** Too few key services wrapped the data key, so nothing was exported. */
class WrapError extends Error {
  override readonly name = "WrapError";
}

/**
 * Makes a data key and has it wrapped by all wrappers at once. Unless the rules say otherwise one that fails stops the export:
 * a missing wrap would only be noticed at recovery time.
 */
export async function wrapNewKey(
  wrappers: readonly KeyWrapper[],
  { quorum = wrappers.length, selftest }: WrapRules,
): Promise<DataKey> {
  const dek = randomBytes(DEK_BYTES);
  const results = await Promise.all(
    wrappers.map(async (wrapper) => attempt(wrapper, dek, selftest)),
  );
  const done = results.flatMap(({ name, key }) => (key === undefined ? [] : [{ name, ...key }]));
  const failures = results.flatMap(({ failure }) => failure ?? []);
  if (done.length < quorum) {
    dek.fill(0);
    throw new WrapError(`${failures.join("; ")} (${done.length} of ${quorum} wrapping keys)`);
  }
  return {
    dek,
    wrappedKeys: Object.fromEntries(
      done.map(({ name, wrapped }) => [name, wrapped.toString("base64")]),
    ),
    keyIds: Object.fromEntries(done.map(({ name, keyId }) => [name, keyId])),
    contexts: Object.fromEntries(
      done.flatMap(({ name, context }) => (context === undefined ? [] : [[name, context]])),
    ),
    failures,
  };
}

async function attempt(
  wrapper: KeyWrapper,
  dek: Buffer,
  selftest: boolean,
): Promise<{ name: string; key?: WrappedKey; failure?: string }> {
  const { name } = wrapper;
  try {
    const key = await wrapper.wrap(dek);
    if (selftest) await prove(wrapper, key, dek);
    return { name, key };
  } catch (error) {
    return { name, failure: `wrapping key ${name} (${wrapper.id}): ${messageOf(error)}` };
  }
}

async function prove(wrapper: KeyWrapper, { wrapped, keyId }: WrappedKey, dek: Buffer) {
  const opened = await wrapper.unwrap(wrapped, keyId);
  const same = opened.equals(dek);
  opened.fill(0);
  if (!same) throw new Error("it returned a key that is not the one given");
}
