import { randomBytes } from "node:crypto";
import type { KeyWrapper } from "./types.ts";

/** A fresh data key and its wrapped copies. Whoever uses `dek` zeroes it. */
export interface DataKey {
  readonly dek: Buffer;
  /** Base64, by wrapper name. */
  readonly wrappedKeys: Readonly<Record<string, string>>;
  readonly keyIds: Readonly<Record<string, string>>;
}

const DEK_BYTES = 32;

/**
 * Makes a data key and wraps it by every wrapper; one that fails stops the export, because a missing wrap would only be
 * noticed at recovery time. Each wrap is opened again and compared before any row is read.
 */
export async function wrapNewKey(wrappers: readonly KeyWrapper[]): Promise<DataKey> {
  const dek = randomBytes(DEK_BYTES);
  try {
    const wrapped: [name: string, key: string][] = [];
    for (const wrapper of wrappers) {
      wrapped.push([wrapper.name, (await wrapAndProve(wrapper, dek)).toString("base64")]);
    }
    return {
      dek,
      wrappedKeys: Object.fromEntries(wrapped),
      keyIds: Object.fromEntries(wrappers.map(({ name, id }) => [name, id])),
    };
  } catch (error) {
    dek.fill(0);
    throw error;
  }
}

async function wrapAndProve(wrapper: KeyWrapper, dek: Buffer): Promise<Buffer> {
  const wrapped = await wrapper.wrap(dek);
  const opened = await wrapper.unwrap(wrapped);
  const same = opened.equals(dek);
  opened.fill(0);
  if (!same)
    throw new Error(`key wrapper ${wrapper.name} returned a key that is not the one given`);
  return wrapped;
}
