import type { RunRule } from "../types/run.ts";
import { shareOf, type Share } from "../wilson.ts";

/** What became of one alert when it came. */
export type Fate = string;

/** What one line of the policy led to. */
interface LineTally {
  readonly key: string;
  readonly text: string;
  /** Runs in which people were asked, in which nobody had to be, and in which the line only watched. */
  readonly asked: number;
  readonly unasked: number;
  readonly watched: number;
  readonly actions: number;
  /** Runs whose alerts had resolved by themselves when the action would have landed; watched ones count too. */
  readonly selfResolved: Share;
}

export interface AppTally {
  /** `<namespace>/<app>` */
  readonly app: string;
  readonly asked: number;
  readonly actions: number;
  readonly selfResolved: number;
  readonly breakerTrips: number;
  readonly breakerRefusals: number;
}

interface DayTally {
  /** UTC */
  readonly day: string;
  readonly app: string;
  readonly action: string;
  readonly actions: number;
}

/** What a policy would have done to the alerts of a time. Every list is sorted, so that equal work has equal text. */
export interface Tally {
  readonly alerts: number;
  /** RFC 3339; null without alerts. */
  readonly firstAt: string | null;
  readonly lastAt: string | null;
  readonly runs: number;
  readonly actions: number;
  readonly approvals: {
    readonly asked: number;
    /** Nobody had answered yet when the alert was over. */
    readonly resolvedBeforeAnswer: number;
    readonly expired: number;
  };
  readonly selfResolved: Share;
  readonly breaker: { readonly trips: number; readonly refusals: number };
  readonly fates: Readonly<Record<Fate, number>>;
  /** What no line of the policy is for: `<trigger>[:<reason>]`. */
  readonly withoutRule: Readonly<Record<string, number>>;
  readonly lines: readonly LineTally[];
  readonly apps: readonly AppTally[];
  readonly days: readonly DayTally[];
}

const DAY_MS = 86_400_000;
/** Names come from labels: without a bound, a label that is never twice the same would fill the memory. */
const NAMES_MAX = 10_000;
const MORE = "(more)";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type LineCount = Mutable<Omit<LineTally, "selfResolved">> & { selfResolved: number; of: number };

/** Names, each with its own record of counters; what comes after the first ten thousand is counted together. */
class Book<T> {
  readonly #pages = new Map<string, T>();
  readonly #fresh: (name: string) => T;

  constructor(fresh: (name: string) => T) {
    this.#fresh = fresh;
  }

  page(name: string): T {
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    if (this.#pages.size >= NAMES_MAX && name !== MORE) return this.page(MORE);
    const page = this.#fresh(name);
    this.#pages.set(name, page);
    return page;
  }

  sorted(): readonly (readonly [string, T])[] {
    return [...this.#pages].sort(([left], [right]) => (left < right ? -1 : 1));
  }
}

/** Counts while a policy is simulated. */
export class Counts {
  #alerts = 0;
  #firstAt = Infinity;
  #lastAt = -Infinity;
  #runs = 0;
  #resolvedBeforeAnswer = 0;
  #expired = 0;
  readonly #fates = new Book(() => ({ count: 0 }));
  readonly #withoutRule = new Book(() => ({ count: 0 }));
  readonly #apps = new Book<Mutable<AppTally>>((app) => ({
    app,
    asked: 0,
    actions: 0,
    selfResolved: 0,
    breakerTrips: 0,
    breakerRefusals: 0,
  }));
  readonly #lines = new Map<string, LineCount>();
  /** By day and then by app and action, so that a long time does not use up the names. */
  readonly #days = new Map<number, Book<{ app: string; action: string; count: number }>>();

  saw(at: number, fate: Fate): void {
    this.#alerts += 1;
    this.#firstAt = Math.min(this.#firstAt, at);
    this.#lastAt = Math.max(this.#lastAt, at);
    this.#fates.page(fate).count += 1;
  }

  run(): void {
    this.#runs += 1;
  }

  noRule(situation: string): void {
    this.#withoutRule.page(situation).count += 1;
  }

  decided(app: string, rule: RunRule, way: "asked" | "unasked" | "watched"): void {
    this.#line(rule)[way] += 1;
    if (way === "asked") this.#apps.page(app).asked += 1;
  }

  refused(app: string, trip: boolean): void {
    const page = this.#apps.page(app);
    page.breakerRefusals += 1;
    if (trip) page.breakerTrips += 1;
  }

  expired(): void {
    this.#expired += 1;
  }

  /** Whether the alerts were over when the action would have landed, and when people would have answered. */
  landed(app: string, rule: RunRule, over: { resolved: boolean; beforeAnswer: boolean }): void {
    const line = this.#line(rule);
    line.of += 1;
    if (!over.resolved) return;
    line.selfResolved += 1;
    this.#apps.page(app).selfResolved += 1;
    if (over.beforeAnswer) this.#resolvedBeforeAnswer += 1;
  }

  acted(app: string, rule: RunRule, at: number): void {
    this.#line(rule).actions += 1;
    this.#apps.page(app).actions += 1;
    const day = Math.floor(at / DAY_MS);
    const action = actionText(rule);
    const book = this.#days.get(day) ?? new Book((name) => dayPage(name));
    this.#days.set(day, book);
    book.page(`${app}\n${action}`).count += 1;
  }

  #line(rule: RunRule): LineCount {
    const name = `${rule.key}\n${rule.text}`;
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const counts = { asked: 0, unasked: 0, watched: 0, actions: 0, selfResolved: 0, of: 0 };
    const line = { key: rule.key, text: rule.text, ...counts };
    this.#lines.set(name, line);
    return line;
  }

  tally(): Tally {
    const lines = [...this.#lines].sort(([left], [right]) => (left < right ? -1 : 1));
    const apps = this.#apps.sorted().map(([, page]) => page);
    return {
      alerts: this.#alerts,
      firstAt: this.#alerts === 0 ? null : new Date(this.#firstAt).toISOString(),
      lastAt: this.#alerts === 0 ? null : new Date(this.#lastAt).toISOString(),
      runs: this.#runs,
      actions: total(apps, ({ actions }) => actions),
      approvals: {
        asked: total(apps, ({ asked }) => asked),
        resolvedBeforeAnswer: this.#resolvedBeforeAnswer,
        expired: this.#expired,
      },
      selfResolved: shareOf(
        total(apps, ({ selfResolved }) => selfResolved),
        lines.reduce((sum, [, { of }]) => sum + of, 0),
      ),
      breaker: {
        trips: total(apps, ({ breakerTrips }) => breakerTrips),
        refusals: total(apps, ({ breakerRefusals }) => breakerRefusals),
      },
      fates: countsOf(this.#fates),
      withoutRule: countsOf(this.#withoutRule),
      lines: lines.map(([, { of, selfResolved, ...line }]) => ({
        ...line,
        selfResolved: shareOf(selfResolved, of),
      })),
      apps,
      days: daysOf(this.#days),
    };
  }
}

/** An action with its argument, as the policy writes it. */
export function actionText({ action, argument }: Pick<RunRule, "action" | "argument">): string {
  return argument === undefined ? action : `${action}:${argument}`;
}

function dayPage(name: string): { app: string; action: string; count: number } {
  const [app = "", action = ""] = name.split("\n");
  return { app, action, count: 0 };
}

function daysOf(
  days: ReadonlyMap<number, Book<{ app: string; action: string; count: number }>>,
): readonly DayTally[] {
  return [...days]
    .sort(([left], [right]) => left - right)
    .flatMap(([number, book]) => {
      const day = new Date(number * DAY_MS).toISOString().slice(0, 10);
      return book
        .sorted()
        .map(([, { app, action, count }]) => ({ day, app, action, actions: count }));
    });
}

function countsOf(book: Book<{ count: number }>): Readonly<Record<string, number>> {
  return Object.fromEntries(book.sorted().map(([name, { count }]) => [name, count]));
}

function total<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}
