import type { PolicyDocument } from "../types/policy.ts";
import type { Fate, Tally } from "./tally.ts";

/** A line of a policy that the other one has not, or has with another text. */
export interface LineChange {
  readonly change: "added" | "removed" | "changed";
  readonly key: string;
  /** `<trigger>[:<reason>]` */
  readonly on: string;
  readonly old: string | null;
  readonly new: string | null;
}

/** Actions of one kind on one app: how many under the old policy, and how many under the new one. */
export interface ActionChange {
  readonly app: string;
  readonly action: string;
  readonly old: number;
  readonly new: number;
}

/** Alerts that would have gone another way. */
export interface FateChange {
  readonly old: Fate;
  readonly new: Fate;
  readonly alerts: number;
  /** The first of them: RFC 3339 and what it was about. */
  readonly first: string;
}

export interface Difference {
  readonly lines: readonly LineChange[];
  readonly actions: readonly ActionChange[];
  readonly fates: readonly FateChange[];
}

/** Counts the alerts that go another way under one policy than under the other. */
export class FateChanges {
  readonly #changes = new Map<string, { count: number; first: string }>();

  saw(fates: { readonly old: Fate; readonly new: Fate }, describe: () => string): void {
    if (fates.old === fates.new) return;
    const name = `${fates.old}\n${fates.new}`;
    const known = this.#changes.get(name);
    if (known === undefined) this.#changes.set(name, { count: 1, first: describe() });
    else known.count += 1;
  }

  list(): readonly FateChange[] {
    return [...this.#changes]
      .sort(([left, one], [right, other]) => other.count - one.count || (left < right ? -1 : 1))
      .map(([name, { count, first }]) => {
        const [old = "", changed = ""] = name.split("\n");
        return { old, new: changed, alerts: count, first };
      });
  }
}

export function lineChanges(old: PolicyDocument, changed: PolicyDocument): readonly LineChange[] {
  const [before, after] = [linesOf(old), linesOf(changed)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name) => {
    const [key = "", on = ""] = name.split("\n");
    const [was, is] = [before.get(name) ?? null, after.get(name) ?? null];
    if (was === is) return [];
    const change = was === null ? "added" : is === null ? "removed" : "changed";
    return [{ change, key, on, old: was, new: is } as const];
  });
}

function linesOf({ entries }: PolicyDocument): ReadonlyMap<string, string> {
  return new Map(
    entries.flatMap(({ key, rules }) =>
      rules.map(({ trigger, reason, text }) => {
        const on = reason === undefined ? trigger : `${trigger}:${reason}`;
        return [`${key}\n${on}`, text] as const;
      }),
    ),
  );
}

export function actionChanges(old: Tally, changed: Tally): readonly ActionChange[] {
  const [before, after] = [actionsOf(old), actionsOf(changed)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name) => {
    const [app = "", action = ""] = name.split("\n");
    const [was, is] = [before.get(name) ?? 0, after.get(name) ?? 0];
    return was === is ? [] : [{ app, action, old: was, new: is }];
  });
}

function actionsOf({ days }: Tally): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { app, action, actions } of days) {
    const name = `${app}\n${action}`;
    sums.set(name, (sums.get(name) ?? 0) + actions);
  }
  return sums;
}
