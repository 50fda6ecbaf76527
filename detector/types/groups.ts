/**
 * A metric is a group: all its series are scored by one replica at a time, its owner. A tenure is one replica's time as
 * the owner; what is scored, written and told about the metric belongs to a tenure.
 */
export interface Tenure {
  readonly metric: string;
  /** The fence: a write that names an older one hits nothing. Undefined while the database has never been asked. */
  readonly epoch: string | undefined;
  /** True once another replica may own the group. */
  readonly over: boolean;
}

/** A group that the database gave to this replica. */
export interface HeldGroup {
  readonly metric: string;
  readonly epoch: string;
}

/** Another replica, or this one, as the others see it. */
export interface ReplicaView {
  readonly id: string;
  readonly metrics: readonly string[];
  /** Heard of without a pause for a whole lease. */
  readonly settled: boolean;
}

export interface GroupView {
  readonly metric: string;
  /** Undefined when nobody's lease runs. */
  readonly owner: string | undefined;
  /** Its owner's lease has run out: it died, or cannot reach the database. */
  readonly abandoned: boolean;
}

/** Who is there and who owns what, at one moment. */
export interface Picture {
  /** Groups that are still this replica's. */
  readonly held: readonly string[];
  readonly replicas: readonly ReplicaView[];
  readonly groups: readonly GroupView[];
}

/** Who watches each configured metric, as of the last look. */
export interface Places {
  readonly here: readonly string[];
  readonly elsewhere: readonly string[];
  /** Nobody yet: its owner has died, or is just handing it over. */
  readonly nowhere: readonly string[];
}

/** The leases of the groups. Every method rejects when the database does not answer. Times are the database's. */
export interface GroupTable {
  /** Says that this replica lives and renews its leases, also one that ran out and that nobody took. */
  beat(metrics: readonly string[], held: readonly HeldGroup[]): Promise<Picture>;
  /** @returns the new epoch; undefined when another replica was faster */
  take(metric: string, from: { readonly abandoned: boolean }): Promise<string | undefined>;
  release(group: HeldGroup): Promise<void>;
  /** Releases everything, and says that this replica is gone. */
  leave(): Promise<void>;
}
