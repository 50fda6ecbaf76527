import { cut, LABEL_MAX } from "./limits.ts";

/** An entry that a label's name leads to; a name such as `constructor` leads nowhere. */
export function labelOf(
  labels: Readonly<Record<string, string>>,
  name: string,
): string | undefined {
  const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
  return value === "" ? undefined : value;
}

/** Anybody's text, cut to what is shown of one. */
export function label(text: string): string {
  return cut(text, LABEL_MAX);
}

/** `14:40 UTC`; a channel that knows its reader's time zone says it better. */
export function clockOf(at: Date): string {
  return `${at.toISOString().slice(11, 16)} UTC`;
}

/** `40 s`, `6 min`, `3 h`, `2 d`. */
export function spanOf(from: Date, to: Date): string {
  const seconds = Math.max(0, Math.round((to.getTime() - from.getTime()) / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return seconds < 36 * 3600
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
