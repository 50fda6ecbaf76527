import type { UserGroups } from "../types/approval.ts";

/** One entry of a list of approvers: `ana`, `ana=U0ANA` (one person with two accounts), `U0ANA`, or `@S0ONCALL`. */
type Entry =
  | { readonly kind: "person"; readonly name: string; readonly account: string | undefined }
  | { readonly kind: "group"; readonly id: string };

const SLACK_USER = /^[UW][A-Z0-9]{2,}$/;
const SLACK_GROUP = /^S[A-Z0-9]{2,}$/;

/** What is wrong with an entry, or undefined. */
export function approverProblem(text: string): string | undefined {
  if (text.startsWith("@"))
    return SLACK_GROUP.test(text.slice(1)) ? undefined : `${text}: a usergroup is written @S0123AB`;
  if (!text.includes("=")) return undefined;
  const [name = "", account = "", ...rest] = text.split("=");
  return name !== "" && rest.length === 0 && SLACK_USER.test(account)
    ? undefined
    : `${text}: a person with a Slack account is written name=U0123AB`;
}

function entryOf(text: string): Entry {
  if (text.startsWith("@")) return { kind: "group", id: text.slice(1) };
  const [name = "", account] = text.split("=");
  return { kind: "person", name, account };
}

/** The people of a list by name, without the members of its groups: those who get links of their own. */
export function peopleOf(entries: readonly string[]): readonly string[] {
  return entries.map(entryOf).flatMap((entry) => (entry.kind === "person" ? [entry.name] : []));
}

/** Whether the list could ever give this many different people; a group may have any number. */
export function couldGive(entries: readonly string[], quorum: number): boolean {
  const groups = entries.some((entry) => entry.startsWith("@"));
  return groups || new Set(peopleOf(entries)).size >= quorum;
}

/** Who may answer, and under which names people are known. */
export interface AllowList {
  /** Those who may: the policy line's own list, or RUNBOOK_APPROVERS. */
  readonly allowed: readonly string[];
  /** RUNBOOK_APPROVERS: it says which account is whose. */
  readonly known: readonly string[];
}

/** Two accounts of one person are one person. */
export function personOf(account: string, { allowed, known }: AllowList): string {
  const entries = [...known, ...allowed].map(entryOf);
  const found = entries.find((entry) => entry.kind === "person" && entry.account === account);
  return found?.kind === "person" ? found.name : account;
}

type Right =
  | { readonly kind: "may"; readonly person: string }
  | { readonly kind: "may_not"; readonly person: string; readonly why: string };

/**
 * May the owner of an account answer? Ids are compared, never display names. A group whose members cannot be known lets
 * nobody in; the ids beside it go on.
 */
export async function rightOf(
  account: string,
  list: AllowList,
  groups: UserGroups | undefined,
): Promise<Right> {
  const person = personOf(account, list);
  const entries = list.allowed.map(entryOf);
  const named = entries.some(
    (entry) => entry.kind === "person" && personOf(entry.name, list) === person,
  );
  if (named) return { kind: "may", person };
  const accounts = accountsOf(person, account, list);
  let unknown = false;
  for (const entry of entries) {
    if (entry.kind !== "group") continue;
    const members = await groups?.members(entry.id);
    if (members === undefined) unknown = true;
    else if (members.some((member) => accounts.includes(member))) return { kind: "may", person };
  }
  const why = unknown
    ? "the members of a usergroup cannot be known now, so only people named by id may answer"
    : "not in the list of approvers";
  return { kind: "may_not", person, why };
}

function accountsOf(person: string, account: string, { allowed, known }: AllowList) {
  const own = [...known, ...allowed]
    .map(entryOf)
    .flatMap((entry) => (entry.kind === "person" && entry.name === person ? entry.account : []));
  return [account, ...own];
}

/** Who may answer a request: those whom its policy line names, or RUNBOOK_APPROVERS. */
export function allowListFor(
  { ruleApprovers }: { readonly ruleApprovers: readonly string[] | undefined },
  approvers: readonly string[],
): AllowList {
  return { allowed: ruleApprovers ?? approvers, known: approvers };
}

/** As {@link rightOf}, for one request: who asked for it is not asked. */
export async function answerRight(
  account: string,
  { requestedBy }: { readonly requestedBy: string | undefined },
  list: AllowList,
  groups: UserGroups | undefined,
): Promise<Right> {
  const right = await rightOf(account, list, groups);
  const own = requestedBy !== undefined && personOf(requestedBy, list) === right.person;
  const why = "who asked for a run cannot answer it: somebody else must";
  return own ? { kind: "may_not", person: right.person, why } : right;
}
