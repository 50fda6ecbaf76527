import type { CollectStep } from "../types/collect.ts";

/** A file of a bundle; its content holds no secrets any more. */
export interface CollectedFile {
  readonly name: string;
  readonly step: CollectStep["step"] | "alert";
  readonly content: Buffer;
  /** It was longer. */
  readonly cut: boolean;
  /** What matters most in it is at its end. */
  readonly tail: boolean;
}

/** A file as a step makes it: text without secrets. */
export interface TextFile {
  readonly name: string;
  readonly text: string;
  /** Default false. */
  readonly tail?: boolean;
}

const PART_MAX = 40;

/** `logs/web-7c9/app.log` out of names of the cluster: bounded, and without anything that leads elsewhere. */
export function fileName(...parts: readonly string[]): string {
  return parts
    .map((part) => part.replace(/[^\w.-]/g, "_").replace(/^\.+/, "_"))
    .map((part) => (part.length <= PART_MAX ? part : `${part.slice(0, 15)}~${part.slice(-24)}`))
    .join("/");
}

/** At most `bytesMax` bytes of a text, from its end or its beginning, with a line that says so. */
export function cutText(
  content: Buffer,
  { bytesMax, tail }: { readonly bytesMax: number; readonly tail: boolean },
): Buffer {
  if (content.length <= bytesMax) return content;
  const note = `[cut: ${content.length} bytes in all]`;
  const room = Math.max(0, bytesMax - note.length - 1);
  const kept = tail
    ? content.subarray(content.length - room).toString("utf8")
    : content.subarray(0, room).toString("utf8");
  return Buffer.from(tail ? `${note}\n${kept}` : `${kept}\n${note}`);
}
