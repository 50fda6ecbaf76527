import type { Transform } from "node:stream";
import { sealEnvelope, type EnvelopeHead } from "./seal.ts";
import type { KeyWrapper } from "./types.ts";
import { wrapNewKey, type WrapRules } from "./wrap-key.ts";

/** What seals: the wrapping keys, and how many of them must answer. */
export interface Sealing {
  readonly wrappers: readonly KeyWrapper[];
  readonly wrapRules: WrapRules;
}

/** An envelope that is about to be filled. */
interface Seal {
  readonly layer: Transform;
  /** Of the keys that wrapped its data key, by wrapper name. */
  readonly keyIds: Readonly<Record<string, string>>;
  /** Why wrapping keys are missing that did not have to answer. */
  readonly failures: readonly string[];
}

/** An envelope under a data key of its own. @throws WrapError when too few wrapping keys answer */
export async function sealUnder(
  { wrappers, wrapRules }: Sealing,
  head: Pick<EnvelopeHead, "originalFilename" | "exportId" | "created">,
): Promise<Seal> {
  const { dek, failures, ...keys } = await wrapNewKey(wrappers, wrapRules);
  return { layer: sealEnvelope({ ...head, ...keys }, dek), keyIds: keys.keyIds, failures };
}
