import { HttpProblem } from "../../lib/problem.ts";
import type { BlobStore } from "../../lib/storage.ts";
import type { Sealing } from "../../lib/envelope/seal-under.ts";
import { KEY_NAMES, KEY_VARIABLES, type KeyName, type Vault } from "./types.ts";

const TITLE = "Not configured";

/** Before anything is begun. @throws HttpProblem 501 that names the variables which are missing */
export function refuseWithoutKeys(
  { keys, placeVariables, store }: Pick<Vault, "keys" | "placeVariables" | "store">,
  wanted: readonly KeyName[] | undefined,
): BlobStore {
  if (store === undefined)
    throw new HttpProblem(
      501,
      TITLE,
      `Exports have no place to go to: set one of ${placeVariables.join(", ")}.`,
    );
  const missing = (wanted ?? []).filter((name) => !keys.has(name));
  if (missing.length > 0)
    throw new HttpProblem(
      501,
      TITLE,
      `keys: no key is configured as ${missing.map((name) => `${name} (set ${KEY_VARIABLES[name]})`).join(", ")}.`,
    );
  if (keys.size === 0)
    throw new HttpProblem(
      501,
      TITLE,
      `Nothing is exported unsealed: set one of ${KEY_NAMES.map((name) => KEY_VARIABLES[name]).join(", ")}.`,
    );
  return store;
}

/** Keys that somebody has named must all answer. @throws when a key cannot be used */
export async function sealingOf(
  vault: Vault,
  wanted: readonly string[] | undefined,
): Promise<Sealing> {
  const all = await vault.openKeys();
  const wrappers = all.filter(({ name }) => wanted?.includes(name) ?? true);
  const quorum = wanted === undefined ? vault.quorum : undefined;
  return { wrappers, wrapRules: { quorum, selftest: vault.selftest } };
}
