import { canonicalJson, sha256Hex } from "../lib/canonical.ts";
import { decide, type Decision } from "./decide.ts";
import type { DecisionRecord } from "./decision-record.ts";

/** What came of deciding again from a record. */
export interface Replay {
  readonly same: boolean;
  /** The first member of the decision that came out otherwise; undefined when it is the same. */
  readonly decision: Mismatch | undefined;
  /** The input is not the one that the record's hash was made of. */
  readonly inputChanged: boolean;
  /** Members of the input that say something else than the rest of the database does. */
  readonly inputDiffers: readonly Mismatch[];
  /** The program that decided was another version: a difference may be meant. Undefined when it was this one. */
  readonly decidedBy: string | undefined;
}

interface Mismatch {
  /** Such as `input.policy.document.entries.0.key`. */
  readonly path: string;
  readonly recorded: string;
  readonly now: string;
}

/** What the database says elsewhere about the same facts. Undefined where it says nothing. */
export interface Witnesses {
  readonly alert: unknown;
  readonly target: unknown;
  readonly policyDocument: unknown;
}

const SHOWN_MAX = 200;

/** Decides again from what was recorded, and compares byte for byte in canonical JSON. */
export function replayDecision(
  record: DecisionRecord,
  codeVersion: string,
  witnesses: Witnesses,
): Replay {
  const { input, input_sha256: inputSha256, code_version: decidedBy, ...rest } = record;
  const { verdict, key, considered, path } = rest;
  const recorded: Decision = { verdict, key, considered, path };
  const decision = firstDifference("", recorded, decide(input));
  const inputChanged = sha256Hex(canonicalJson(input)) !== inputSha256;
  const document = input.policy.kind === "known" ? input.policy.document : undefined;
  const inputDiffers = [
    differenceTo("input.alert", input.alert, witnesses.alert),
    differenceTo("input.target", input.target, witnesses.target),
    document && differenceTo("input.policy.document", document, witnesses.policyDocument),
  ].filter((mismatch) => mismatch !== undefined);
  return {
    same: decision === undefined && !inputChanged,
    decision,
    inputChanged,
    inputDiffers,
    decidedBy: decidedBy === codeVersion ? undefined : decidedBy,
  };
}

function differenceTo(path: string, recorded: unknown, witness: unknown): Mismatch | undefined {
  return witness === undefined ? undefined : firstDifference(path, recorded, witness);
}

/** In the order of canonical JSON, so that the first is the same on every machine. */
function firstDifference(path: string, recorded: unknown, now: unknown): Mismatch | undefined {
  const [one, other] = [textOf(recorded), textOf(now)];
  if (one === other) return undefined;
  if (!isTree(recorded) || !isTree(now) || Array.isArray(recorded) !== Array.isArray(now))
    return { path, recorded: one.slice(0, SHOWN_MAX), now: other.slice(0, SHOWN_MAX) };
  const [left, right] = [new Map(Object.entries(recorded)), new Map(Object.entries(now))];
  const names = [...new Set([...left.keys(), ...right.keys()])];
  if (!Array.isArray(recorded)) names.sort();
  for (const name of names) {
    const below = path === "" ? name : `${path}.${name}`;
    const found = firstDifference(below, left.get(name), right.get(name));
    if (found !== undefined) return found;
  }
  return undefined;
}

function isTree(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function textOf(value: unknown): string {
  return value === undefined ? "nothing" : canonicalJson(value);
}
