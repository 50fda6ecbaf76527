import { breakerRefusal, breakerWindow } from "../breaker.ts";
import { decide, type DecisionInput } from "../decide.ts";
import type { BreakerState } from "../types/breaker.ts";
import type { PolicyDocument } from "../types/policy.ts";
import type { RunRule, Trigger } from "../types/run.ts";
import { wishOf } from "../wish.ts";
import { EventQueue } from "./event-queue.ts";
import {
  Neighbourhood,
  type Firing,
  type Place,
  type SimulatedRun,
  type SimulatedTarget,
} from "./neighbourhood.ts";
import { actionText, Counts, type Fate, type Tally } from "./tally.ts";
import type { PastAlert, SimulatedWorld } from "./types.ts";

/** What is to happen later in the simulated time. */
type Later =
  | { readonly kind: "land"; readonly place: Place; readonly run: SimulatedRun }
  | { readonly kind: "wake"; readonly place: Place }
  | { readonly kind: "calm"; readonly target: SimulatedTarget };

/** The past is kept without them, and no decision looks at them. */
const NONE = {};
const DAY_MS = 86_400_000;

/**
 * Lives through past alerts with a policy: the service's own decide(), catalogue and targets, with the service's rules of
 * joining, resting and counting around them. Give alerts in the order in which they began. No clock: equal input, equal tally.
 *
 * What cannot be known from the past is taken as follows: nobody has thrown a kill switch, people answer yes after
 * `approvalDelaySeconds`, an action does not change when its alert resolved.
 */
export class Simulation {
  readonly #policy: DecisionInput["policy"];
  readonly #world: SimulatedWorld;
  readonly #later = new EventQueue<Later>();
  readonly #places = new Neighbourhood();
  readonly #counts = new Counts();

  constructor(document: PolicyDocument, world: SimulatedWorld) {
    this.#policy = { kind: "known", document };
    this.#world = world;
  }

  see(alert: PastAlert): Fate {
    this.#advance(alert.at);
    const fate = this.#admit(alert);
    this.#counts.saw(alert.at, fate);
    return fate;
  }

  /** Lives through what is still to happen. */
  finish(): Tally {
    this.#advance(Infinity);
    return this.#counts.tally();
  }

  #advance(until: number): void {
    for (
      let event = this.#later.next(until);
      event !== undefined;
      event = this.#later.next(until)
    ) {
      const { at, what } = event;
      if (what.kind === "land") this.#land(what.place, what.run);
      else if (what.kind === "wake") this.#wake(what.place, at);
      else this.#calm(what.target, at);
    }
  }

  #admit(alert: PastAlert): Fate {
    const found = wishOf(
      { ...alert, annotations: NONE, startsAt: new Date(alert.at).toISOString() },
      this.#world,
    );
    if (found.kind === "none") return "no runbook";
    if (found.kind === "refused")
      return found.event === "skipped_target" ? "no target" : found.event;
    const { wish } = found;
    const place = this.#places.at(wish.target, wish.runbook);
    const { target } = place;
    if (target.fires(alert)) this.#later.plan(target.firesUntil, { kind: "calm", target });
    return this.#enter(place, {
      trigger: wish.trigger,
      at: alert.at,
      resolvedAt: alert.resolvedAt,
    });
  }

  /** Opens a run, joins the one that is there, or waits until the target has rested from the last one. */
  #enter(place: Place, alert: Firing): Fate {
    this.#countResolved(place, alert.at);
    const endedAt = place.endedAt(alert.at, this.#world.verifySeconds * 1000);
    if (endedAt > alert.at) {
      place.join(alert.resolvedAt);
      return "joined a run";
    }
    const wakesAt = endedAt + this.#world.cooldownSeconds * 1000;
    if (wakesAt <= alert.at) return this.#open(place, alert, alert.at);
    if (alert.resolvedAt <= wakesAt) return "resolved while its target rested";
    if (place.wait(alert)) this.#later.plan(wakesAt, { kind: "wake", place });
    return "postponed while its target rested";
  }

  #wake(place: Place, now: number): void {
    const alert = place.takeWaiting();
    if (alert !== undefined) this.#open(place, alert, now);
  }

  #calm(target: SimulatedTarget, now: number): void {
    if (!target.calms(now)) this.#later.plan(target.firesUntil, { kind: "calm", target });
  }

  #open(place: Place, alert: Firing, now: number): Fate {
    this.#counts.run();
    const { app } = place.target;
    const { verdict } = decide(this.#inputOf(place, alert, now));
    if (verdict.kind === "skip") {
      place.endRun(now);
      if (verdict.state === "skipped_circuit") this.#counts.refused(app, place.target.trips());
      if (verdict.state === "skipped_no_policy") this.#counts.noRule(situationText(alert.trigger));
      return verdict.state;
    }
    place.target.hasRoom();
    const { rule } = verdict;
    const asked = verdict.kind === "shadow" ? verdict.wouldAsk : verdict.approval !== undefined;
    const run = this.#runOf(rule, asked, now);
    if (verdict.kind === "shadow") {
      place.endRun(now);
      this.#counts.decided(app, rule, "watched");
      this.#counts.landed(app, rule, overBy(run, alert.resolvedAt));
      return `only watches for ${actionText(rule)}`;
    }
    place.beginRun(run, alert.resolvedAt);
    this.#later.plan(run.landsAt, { kind: "land", place, run });
    this.#counts.decided(app, rule, asked ? "asked" : "unasked");
    return `${asked ? "asks for" : "does"} ${actionText(rule)}`;
  }

  /** A request that nobody answers in time ends the run at its expiry. */
  #runOf(rule: RunRule, asked: boolean, openedAt: number): SimulatedRun {
    const { approvalDelaySeconds, approvalSeconds, actionDelaySeconds } = this.#world;
    const answeredAt = openedAt + (asked ? approvalDelaySeconds * 1000 : 0);
    const expires = asked && approvalDelaySeconds > approvalSeconds;
    const landsAt = expires
      ? openedAt + approvalSeconds * 1000
      : answeredAt + actionDelaySeconds * 1000;
    return { rule, openedAt, asked, answeredAt, landsAt };
  }

  /** A run whose alerts were all over before it acted. */
  #countResolved(place: Place, now: number): void {
    const over = place.takeResolved(now);
    if (over !== undefined)
      this.#counts.landed(place.target.app, over.run.rule, overBy(over.run, over.resolvedAt));
  }

  #land(place: Place, run: SimulatedRun): void {
    const { rule, landsAt } = run;
    const { target } = place;
    this.#countResolved(place, landsAt);
    if (!place.awaits(run)) return;
    this.#counts.landed(target.app, rule, { resolved: false, beforeAnswer: false });
    if (run.answeredAt > landsAt) {
      this.#counts.expired();
      place.endRun(landsAt);
      return;
    }
    const { limits } = this.#world.switches;
    const breakers = breakersAt(target, landsAt);
    const refusal = breakerRefusal(breakers.target, limits) ?? breakerRefusal(breakers.app, limits);
    if (refusal !== undefined) {
      this.#counts.refused(target.app, target.trips());
      place.endRun(landsAt);
      return;
    }
    target.act(landsAt);
    place.act();
    this.#counts.acted(target.app, rule, landsAt);
  }

  #inputOf({ target }: Place, { trigger }: Firing, now: number): DecisionInput {
    const { scope, switches, workloads } = this.#world;
    return {
      alert: trigger,
      target: target.target,
      policy: this.#policy,
      breakers: breakersAt(target, now),
      killed: null,
      health: {
        sick: target.namespace.sick,
        workloads,
        recentTargets: this.#places.recent.open(target, now),
      },
      lastActionAt: target.lastActionAt,
      scope,
      switches,
      now: new Date(now).toISOString(),
    };
  }
}

function overBy(
  { landsAt, answeredAt, asked }: SimulatedRun,
  resolvedAt: number,
): { readonly resolved: boolean; readonly beforeAnswer: boolean } {
  return { resolved: resolvedAt <= landsAt, beforeAnswer: asked && resolvedAt <= answeredAt };
}

function breakersAt(target: SimulatedTarget, now: number): DecisionInput["breakers"] {
  return {
    target: stateOf(target.slots.since(now - DAY_MS), now),
    app: stateOf(target.appSlots.since(now - DAY_MS), now),
  };
}

function stateOf(takenAt: readonly number[], now: number): BreakerState {
  return { kind: "known", open: false, ...breakerWindow(takenAt, now) };
}

function situationText({ trigger, reason }: Trigger): string {
  return reason === "" ? trigger : `${trigger}:${reason}`;
}
