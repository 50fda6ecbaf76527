interface Event<T> {
  readonly at: number;
  readonly order: number;
  readonly what: T;
}

/** What is to happen later: by time, and among equals in the order in which it was planned. A binary heap. */
export class EventQueue<T> {
  readonly #events: Event<T>[] = [];
  #planned = 0;

  plan(at: number, what: T): void {
    const event = { at, order: (this.#planned += 1), what };
    const events = this.#events;
    let index = events.length;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      const above = events[parent];
      if (above === undefined || !isBefore(event, above)) break;
      events[index] = above;
      index = parent;
    }
    events[index] = event;
  }

  /** The next event, if its time is not after `until`. */
  next(until: number): { readonly at: number; readonly what: T } | undefined {
    const [first] = this.#events;
    if (first === undefined || first.at > until) return undefined;
    const last = this.#events.pop();
    if (last !== undefined && last !== first) this.#sinkFromTop(last);
    return first;
  }

  #sinkFromTop(event: Event<T>): void {
    const events = this.#events;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const child = earlier(events, left, left + 1);
      const below = events[child];
      if (below === undefined || !isBefore(below, event)) break;
      events[index] = below;
      index = child;
    }
    events[index] = event;
  }
}

function earlier<T>(events: readonly Event<T>[], left: number, right: number): number {
  const [one, other] = [events[left], events[right]];
  return one !== undefined && other !== undefined && isBefore(other, one) ? right : left;
}

function isBefore<T>(one: Event<T>, other: Event<T>): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
