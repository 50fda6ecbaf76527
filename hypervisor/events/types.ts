import type { PlatformEvent } from "../types.ts";

/** Equal events that came together, on their way into the table. */
export interface Batched {
  readonly event: PlatformEvent;
  /** SHA-256 of what makes events equal. */
  readonly key: string;
  readonly count: number;
  readonly first: Date;
  readonly last: Date;
}

/** An event as it is stored: equal ones are one row. */
export interface StoredEvent {
  readonly id: string;
  /** `web.17f3c2a9b04d1e5f`: as Kubernetes names them. */
  readonly name: string;
  readonly namespace: string;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly component: string;
  readonly involved_object_kind: string;
  readonly involved_object_name: string;
  /** RFC 3339. */
  readonly first_timestamp: string;
  readonly last_timestamp: string;
  readonly count: number;
}

/** Where events are shown besides: a cluster's own. @throws when it does not take it */
export interface EventMirror {
  show(event: StoredEvent): Promise<void>;
}
