import type { AuditProblem } from "./chain.ts";

const PROBLEMS_MAX = 100;

/** Keeps the problems of the lowest rows, and counts all. */
export class Findings {
  #kept: readonly AuditProblem[] = [];
  count = 0;

  add(problem: AuditProblem): void {
    this.count += 1;
    this.#kept = [...this.#kept, problem].toSorted(byRow).slice(0, PROBLEMS_MAX);
  }

  /** About something that has no row any more. */
  addGone(kind: AuditProblem["kind"], chain: string | null, text: string): void {
    this.add({ kind, chain, id: null, text });
  }

  /** The lowest row first. */
  get lowest(): readonly AuditProblem[] {
    return this.#kept;
  }
}

/** Rows that are gone have no id; they come last. */
function byRow(left: AuditProblem, right: AuditProblem): number {
  if (left.id === null || right.id === null)
    return Number(left.id === null) - Number(right.id === null);
  return Number(BigInt(left.id) - BigInt(right.id));
}
