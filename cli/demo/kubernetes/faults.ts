/** What is to go wrong with the next matching request. Exactly one of `status`, `hang` and `closeAfterEffect`. */
export interface ScriptedFault {
  /** Any unless set. */
  readonly method?: string;
  /** The exact path, or a pattern; any unless set. */
  readonly path?: string | RegExp;
  /** How many requests it meets; one unless set. */
  readonly times?: number;
  /** Answer this status and do nothing. */
  readonly status?: number;
  /** Sent as Retry-After. */
  readonly retryAfterSeconds?: number;
  /** Do nothing and never answer. */
  readonly hang?: true;
  /** Do it, then cut the connection: the client cannot know. */
  readonly closeAfterEffect?: true;
}

/** The faults that are waiting for their request, oldest first. */
export class Faults {
  #waiting: { readonly fault: ScriptedFault; left: number }[] = [];

  add(fault: ScriptedFault): void {
    this.#waiting.push({ fault, left: fault.times ?? 1 });
  }

  /** The fault for this request, used up by it. */
  take(method: string, path: string): ScriptedFault | undefined {
    const entry = this.#waiting.find(({ fault }) => meets(fault, method, path));
    if (entry === undefined) return undefined;
    entry.left -= 1;
    this.#waiting = this.#waiting.filter(({ left }) => left > 0);
    return entry.fault;
  }
}

function meets(fault: ScriptedFault, method: string, path: string): boolean {
  if (fault.method !== undefined && fault.method !== method) return false;
  if (fault.path === undefined) return true;
  return typeof fault.path === "string" ? fault.path === path : fault.path.test(path);
}
