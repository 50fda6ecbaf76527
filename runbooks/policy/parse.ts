import { sha256Hex } from "../../lib/canonical.ts";
import type { ActionName, PolicyDocument, PolicyRule, RuleOptions } from "../types/policy.ts";
import { optionsProblem, readOption } from "./options.ts";

/** A policy text that cannot be read is no policy: the caller must refuse to act. Each problem with its place. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("; "));
    this.problems = problems;
  }
}

/** What a policy may name: actions, and what each accepts behind its colon. */
export interface KnownActions {
  has(name: string): boolean;
  keys(): Iterable<string>;
}

/** Why the action cannot do with this argument, or undefined. */
export type ArgumentProblem = (
  action: ActionName,
  argument: string | undefined,
) => string | undefined;

const WORD = /^[\w.-]{1,100}$/;
const ARGUMENT = /^[+-]?[\w.%-]{1,32}$/;
const RULES_MAX = 1_000;
const TEXT_MAX = 256 * 1024;
/** The key of the rules that come from RUNBOOK_AUTOFIX_POLICY; they hold for every target. */
const ENV_KEY = "env";

/**
 * Reads RUNBOOK_AUTOFIX_POLICY.
 *
 * @throws PolicyError
 */
export function parsePolicy(
  text: string,
  actions: KnownActions,
  argumentProblem?: ArgumentProblem,
): PolicyDocument {
  const rules = parseRules(text, actions, argumentProblem);
  return { sha256: sha256Hex(text), source: "env", entries: [{ key: ENV_KEY, rules }] };
}

/**
 * Reads rules `trigger[:reason]=action[:argument][{option,option…}]`, separated by semicolons or lines, with `#` comments,
 * e.g. `latency_p99:level_shift=scale_up:+1{max=6,cooldown=30m}`.
 *
 * @throws PolicyError with line, column and expectation of every problem
 */
export function parseRules(
  text: string,
  actions: KnownActions,
  argumentProblem: ArgumentProblem = () => undefined,
): readonly PolicyRule[] {
  if (text.length > TEXT_MAX)
    throw new PolicyError([`is longer than ${TEXT_MAX} characters: ${text.length}`]);
  const problems: string[] = [];
  const complain = ({ at }: Piece, what: string) => {
    problems.push(`${placeOf(text, at)}: ${what}`);
  };
  // Comments become blanks, so that every place stays where the person sees it.
  const bare = text.replace(/#[^\n]*/g, (comment) => " ".repeat(comment.length));
  const seen = new Set<string>();
  const rules = statementsOf(bare, complain).flatMap((statement) => {
    const rule = readRule(statement, { complain, actions, argumentProblem });
    if (rule === undefined) return [];
    const name = nameOf(rule);
    if (seen.has(name)) complain(statement, `there is a rule for ${name} already`);
    seen.add(name);
    return [rule];
  });
  if (rules.length > RULES_MAX) problems.push(`has more than ${RULES_MAX} rules: ${rules.length}`);
  if (problems.length > 0) throw new PolicyError(problems);
  return rules;
}

/** `trigger` or `trigger:reason`. */
function nameOf({ trigger, reason }: Pick<PolicyRule, "trigger" | "reason">): string {
  return reason === undefined ? trigger : `${trigger}:${reason}`;
}

/** A part of the text, and where it begins. */
interface Piece {
  readonly text: string;
  readonly at: number;
}

type Complain = (piece: Piece, what: string) => void;

function placeOf(text: string, at: number): string {
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

/** Semicolons and lines end a rule, but not inside its braces. */
function statementsOf(text: string, complain: Complain): readonly Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  let open = false;
  for (let at = 0; at <= text.length; at++) {
    const sign = text[at];
    if (sign === "{") open = true;
    if (sign === "}") open = false;
    const ends = sign === undefined || (!open && (sign === ";" || sign === "\n"));
    if (!ends) continue;
    pieces.push(trimmed({ text: text.slice(start, at), at: start }));
    start = at + 1;
  }
  if (open) complain(pieces.at(-1) ?? { text: "", at: 0 }, "a { is not closed by }");
  return pieces.filter((piece) => piece.text !== "");
}

function trimmed({ text, at }: Piece): Piece {
  const rest = text.trimStart();
  return { text: rest.trimEnd(), at: at + text.length - rest.length };
}

/** At the first separator, both sides trimmed; the right is undefined without one. */
function splitOnce({ text, at }: Piece, separator: string): readonly [Piece, Piece | undefined] {
  const found = text.indexOf(separator);
  if (found < 0) return [trimmed({ text, at }), undefined];
  return [
    trimmed({ text: text.slice(0, found), at }),
    trimmed({ text: text.slice(found + 1), at: at + found + 1 }),
  ];
}

interface Reading {
  readonly complain: Complain;
  readonly actions: KnownActions;
  readonly argumentProblem: ArgumentProblem;
}

function readRule(statement: Piece, reading: Reading): PolicyRule | undefined {
  const { complain } = reading;
  const [head, braces] = splitOnce(statement, "{");
  const [left, right] = splitOnce(head, "=");
  if (right === undefined) {
    complain(statement, `expected trigger[:reason]=action, got ${JSON.stringify(statement.text)}`);
    return undefined;
  }
  const [trigger, reason] = splitOnce(left, ":");
  const [action, argument] = splitOnce(right, ":");
  const readable =
    isWord("trigger", trigger, complain) &&
    (reason === undefined || isWord("reason", reason, complain)) &&
    isAction(action, argument, reading);
  const options = braces === undefined ? {} : readOptions(braces, complain);
  if (!readable || options === undefined) return undefined;
  return {
    trigger: trigger.text,
    reason: reason?.text,
    action: action.text as ActionName,
    argument: argument?.text,
    options,
    text: statement.text.replace(/\s+/g, " "),
  };
}

function isWord(what: string, piece: Piece, complain: Complain): boolean {
  if (WORD.test(piece.text)) return true;
  complain(
    piece,
    `a ${what} is letters, digits, "_", "." and "-", not ${JSON.stringify(piece.text)}`,
  );
  return false;
}

function isAction(
  action: Piece,
  argument: Piece | undefined,
  { complain, actions, argumentProblem }: Reading,
): boolean {
  if (!actions.has(action.text)) {
    const known = [...actions.keys()].join(", ");
    complain(action, `${JSON.stringify(action.text)} is not an action (${known})`);
    return false;
  }
  const wellFormed = argument === undefined || ARGUMENT.test(argument.text);
  const problem = wellFormed
    ? argumentProblem(action.text as ActionName, argument?.text)
    : `${JSON.stringify(argument.text)} is not an argument, such as +1`;
  if (problem !== undefined) complain(argument ?? action, problem);
  return problem === undefined;
}

/** Undefined when something was wrong, and was told. */
function readOptions(braces: Piece, complain: Complain): RuleOptions | undefined {
  const [inside, behind] = splitOnce(braces, "}");
  if (behind === undefined) return undefined; // told as "not closed"
  const refused: Piece[] = [];
  const refuse = (piece: Piece, what: string) => {
    complain(piece, what);
    refused.push(piece);
  };
  if (behind.text !== "")
    refuse(behind, `nothing may follow }, got ${JSON.stringify(behind.text)}`);
  let options: RuleOptions = {};
  const seen = new Set<string>();
  for (const piece of piecesOf(inside, ",")) {
    const [name, value] = splitOnce(piece, "=");
    const read =
      value === undefined
        ? `an option is name=value, not ${JSON.stringify(piece.text)}`
        : readOption(name.text, value.text);
    if (typeof read === "string") refuse(value ?? piece, read);
    else if (seen.has(name.text) && name.text !== "window")
      refuse(piece, `${name.text} is given twice`);
    else options = { ...options, ...read, ...joinedWindows(options, read) };
    seen.add(name.text);
  }
  const problem = optionsProblem(options);
  if (problem !== undefined) refuse(inside, problem);
  return refused.length === 0 ? options : undefined;
}

/** Any of several windows is enough. */
function joinedWindows({ windows: old = [] }: RuleOptions, { windows = [] }: RuleOptions) {
  return old.length + windows.length === 0 ? {} : { windows: [...old, ...windows] };
}

function piecesOf(piece: Piece, separator: string): readonly Piece[] {
  const [first, rest] = splitOnce(piece, separator);
  const others = rest === undefined ? [] : piecesOf(rest, separator);
  return first.text === "" ? others : [first, ...others];
}
