import type { Runbook } from "../types/intake.ts";
import type { RunRule, Trigger } from "../types/run.ts";
import { appKeyOf, targetKeyOf, type Target } from "../types/target.ts";
import type { PastAlert } from "./types.ts";

/** Times at which a breaker's slots were taken, the oldest first. */
class Slots {
  #takenAt: number[] = [];

  take(at: number): void {
    this.#takenAt.push(at);
  }

  /** Those after a time; older ones are forgotten. */
  since(time: number): readonly number[] {
    const [oldest] = this.#takenAt;
    if (oldest !== undefined && oldest <= time)
      this.#takenAt = this.#takenAt.filter((at) => at > time);
    return this.#takenAt;
  }
}

/** As in facts.ts: an alert that nobody tells of for a day counts no longer, and a run is recent for ten minutes. */
const FORGOTTEN_MS = 86_400_000;
const RECENT_MS = 600_000;

/** A namespace as the stop for too many sick workloads sees it. */
interface Namespace {
  /** Targets with an alert that fires. */
  sick: number;
}

/** A workload with its past. */
export class SimulatedTarget {
  readonly target: Target;
  readonly namespace: Namespace;
  readonly slots = new Slots();
  readonly appSlots: Slots;
  /** `<namespace>/<app>` */
  readonly app: string;
  lastActionAt: string | null = null;
  firesUntil = -Infinity;
  #fires = false;
  #full = false;

  constructor(target: Target, namespace: Namespace, appSlots: Slots) {
    this.target = target;
    this.namespace = namespace;
    this.appSlots = appSlots;
    this.app = `${target.namespace}/${target.app}`;
  }

  /** Whether it was well before; then look again at {@link firesUntil}. */
  fires({ at, resolvedAt }: Pick<PastAlert, "at" | "resolvedAt">): boolean {
    const wasWell = !this.#fires;
    this.#fires = true;
    this.firesUntil = Math.max(this.firesUntil, Math.min(resolvedAt, at + FORGOTTEN_MS));
    if (wasWell) this.namespace.sick += 1;
    return wasWell;
  }

  /** Whether the last of its alerts is over. */
  calms(now: number): boolean {
    if (this.firesUntil > now) return false;
    this.#fires = false;
    this.namespace.sick -= 1;
    return true;
  }

  act(at: number): void {
    this.slots.take(at);
    this.appSlots.take(at);
    this.lastActionAt = new Date(at).toISOString();
  }

  /** The breaker refused: true for the first time since it had room. */
  trips(): boolean {
    const first = !this.#full;
    this.#full = true;
    return first;
  }

  hasRoom(): void {
    this.#full = false;
  }
}

/** An alert that asks for a run. */
export interface Firing extends Pick<PastAlert, "at" | "resolvedAt"> {
  readonly trigger: Trigger;
}

/** A run that will act. Times are milliseconds since 1970. */
export interface SimulatedRun {
  readonly rule: RunRule;
  readonly openedAt: number;
  readonly asked: boolean;
  readonly answeredAt: number;
  /** When the action would be done, or the request expires. */
  readonly landsAt: number;
}

/** What one runbook does at one target: at most one run at a time, and a rest after each. */
export class Place {
  readonly target: SimulatedTarget;
  readonly runbook: Runbook;
  #run: SimulatedRun | undefined;
  #acted = false;
  #endedAt = -Infinity;
  #resolvedAt = -Infinity;
  #waiting: Firing | undefined;

  constructor(target: SimulatedTarget, runbook: Runbook) {
    this.target = target;
    this.runbook = runbook;
  }

  beginRun(run: SimulatedRun, resolvedAt: number): void {
    this.#run = run;
    this.#acted = false;
    this.#resolvedAt = resolvedAt;
  }

  /** Another alert of the same trouble: the run is over when all of them are. */
  join(resolvedAt: number): void {
    this.#resolvedAt = Math.max(this.#resolvedAt, resolvedAt);
  }

  endRun(at: number): void {
    this.#run = undefined;
    this.#endedAt = at;
  }

  act(): void {
    this.#acted = true;
  }

  /** Whether this is the run that is to act here. */
  awaits(run: SimulatedRun): boolean {
    return this.#run === run && !this.#acted;
  }

  /** Ends the run that is still to act if all its alerts are over; gives it with the time at which they were. */
  takeResolved(
    now: number,
  ): { readonly run: SimulatedRun; readonly resolvedAt: number } | undefined {
    const [run, resolvedAt] = [this.#run, this.#resolvedAt];
    if (run === undefined || this.#acted || resolvedAt > now) return undefined;
    this.endRun(Math.max(run.openedAt, resolvedAt));
    return { run, resolvedAt };
  }

  /** When its last run ended; Infinity while one is under way. After an action: when it resolved, or was given up. */
  endedAt(now: number, verifyMs: number): number {
    if (this.#run === undefined) return this.#endedAt;
    if (!this.#acted) return Infinity;
    const { landsAt } = this.#run;
    const end = Math.min(Math.max(this.#resolvedAt, landsAt), landsAt + verifyMs);
    return end <= now ? end : Infinity;
  }

  /** Waits for the end of the rest. True for the first: the others will join its run. */
  wait(alert: Firing): boolean {
    const waiting = this.#waiting;
    this.#waiting = {
      ...(waiting ?? alert),
      resolvedAt: Math.max(waiting?.resolvedAt ?? -Infinity, alert.resolvedAt),
    };
    return waiting === undefined;
  }

  takeWaiting(): Firing | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}

/** Targets that a run was opened for lately. */
class RecentTargets {
  #opened: { readonly at: number; readonly target: SimulatedTarget }[] = [];
  #forgotten = 0;
  readonly #runs = new Map<SimulatedTarget, number>();

  /** How many there are now, this one included. */
  open(target: SimulatedTarget, at: number): number {
    this.#opened.push({ at, target });
    this.#runs.set(target, (this.#runs.get(target) ?? 0) + 1);
    this.#forget(at - RECENT_MS);
    return this.#runs.size;
  }

  #forget(until: number): void {
    let first = this.#opened[this.#forgotten];
    while (first !== undefined && first.at <= until) {
      const left = (this.#runs.get(first.target) ?? 0) - 1;
      if (left === 0) this.#runs.delete(first.target);
      else this.#runs.set(first.target, left);
      this.#forgotten += 1;
      first = this.#opened[this.#forgotten];
    }
    if (this.#forgotten * 2 < this.#opened.length) return;
    this.#opened = this.#opened.slice(this.#forgotten);
    this.#forgotten = 0;
  }
}

/** Every target that an alert was about, and its app and namespace. */
export class Neighbourhood {
  readonly recent = new RecentTargets();
  readonly #targets = new Map<string, SimulatedTarget>();
  readonly #apps = new Map<string, Slots>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #places = new Map<SimulatedTarget, Map<string, Place>>();

  at(target: Target, runbook: Runbook): Place {
    const known = this.#target(target);
    const places = this.#places.get(known) ?? new Map<string, Place>();
    const present = places.get(runbook.id);
    if (present !== undefined) return present;
    const place = new Place(known, runbook);
    places.set(runbook.id, place);
    this.#places.set(known, places);
    return place;
  }

  #target(target: Target): SimulatedTarget {
    const key = targetKeyOf(target);
    const known = this.#targets.get(key);
    if (known !== undefined) return known;
    const appKey = appKeyOf(target);
    const slots = this.#apps.get(appKey) ?? new Slots();
    this.#apps.set(appKey, slots);
    const namespace = this.#namespaces.get(target.namespace) ?? { sick: 0 };
    this.#namespaces.set(target.namespace, namespace);
    const made = new SimulatedTarget(target, namespace, slots);
    this.#targets.set(key, made);
    return made;
  }
}
