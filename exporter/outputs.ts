import type { KeyWrapper } from "../lib/envelope/types.ts";
import type { WrapRules } from "../lib/envelope/wrap-key.ts";
import type { Layer } from "./build.ts";
import { partName, sealedNames, storedName, type Form, type Layers } from "./name.ts";
import type { Recipient } from "./recipients.ts";
import type { ExportPlan } from "./types.ts";

/** How files are sealed; the same for all parts of an export. */
export interface Sealing {
  /** Empty: no OpenPGP layer. */
  readonly recipients: readonly Recipient[];
  readonly pgpComment: string | undefined;
  /** A file for each recipient instead of one that all can open. */
  readonly perRecipient: boolean;
  /** The OpenPGP layer: what encrypts to all of the given recipients in one message. */
  readonly encryptTo: (recipients: readonly Recipient[], comment: string | undefined) => Layer;
  /** Empty: no envelope. */
  readonly wrappers: readonly KeyWrapper[];
  readonly wrapRules: WrapRules;
  /** Zstandard before encryption. */
  readonly compressed: boolean;
  /** Each file is an archive of the CSV and the same rows as JSON lines. */
  readonly jsonl: boolean;
  readonly filenameSalt: string | undefined;
  /** What stays beside the sealed files because somebody asked for it. */
  readonly keep: { readonly plaintext: boolean; readonly original: boolean };
}

/** One series of files: all parts in one form, for one circle of readers. */
export interface Output {
  readonly form: Form;
  readonly recipients: readonly Recipient[];
  readonly layers: Layers;
  /** The plaintext, which says the same for all circles, is kept once. */
  readonly isFirst: boolean;
}

const RECIPIENT_HEX_DIGITS = 16;

/** What an export consists of; the rows are read for each. */
export function outputsOf(sealing: Sealing): readonly Output[] {
  const form = sealing.jsonl ? "zip" : "csv";
  return circlesOf(sealing).map((circle, index) => ({ form, ...circle, isFirst: index === 0 }));
}

function circlesOf(sealing: Sealing): Omit<Output, "form" | "isFirst">[] {
  const { recipients, wrappers, compressed, pgpComment, perRecipient } = sealing;
  const layers = { compressed, envelope: wrappers.length > 0 };
  if (recipients.length === 0) return [{ recipients, layers: { ...layers, pgp: undefined } }];
  const pgp = pgpComment === undefined ? "binary" : "armored";
  if (!perRecipient || recipients.length === 1) return [{ recipients, layers: { ...layers, pgp } }];
  return recipients.map((one) => ({
    recipients: [one],
    layers: { ...layers, pgp, recipient: one.fingerprint.slice(-RECIPIENT_HEX_DIGITS) },
  }));
}

/** What a part of an output is called outside (`outer`) and inside its envelope. */
export function partNames(
  exportName: string,
  part: number,
  output: Output,
  salt: string | undefined,
): { readonly inner: string; readonly outer: string } {
  return sealedNames(storedName(partName(exportName, part, output.form), salt), output.layers);
}

/** What a part is called before anything is done to it. */
export function plainNameOf(
  exportName: string,
  part: number,
  form: Form,
  salt: string | undefined,
): string {
  return storedName(partName(exportName, part, form), salt);
}

/** The names of the first part of each output: when these are free, so are the others. */
export function firstNames(plan: Pick<ExportPlan, "name">, sealing: Sealing): readonly string[] {
  const { filenameSalt: salt, keep } = sealing;
  return outputsOf(sealing).flatMap((output) => {
    const { inner, outer } = partNames(plan.name.clear, 1, output, salt);
    const plain = keep.plaintext ? [plainNameOf(plan.name.clear, 1, output.form, salt)] : [];
    return [outer, ...(keep.original ? [inner] : []), ...plain];
  });
}
