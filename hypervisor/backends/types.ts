import type { Duplex } from "node:stream";
import type { Ability } from "./abilities.ts";

/** What every call may bring. A call without a signal still has a deadline (deadlines.ts). */
export interface Call {
  /** Ends the call, and the stream or terminal that it opened. */
  readonly signal?: AbortSignal | undefined;
}

/** One call of a backend: everything that is asked stands in `request`. @throws BackendError */
type Verb<Request, Answer> = (request: Request, call?: Call) => Promise<Answer>;

/** Whose container. Projects are LXD's projects; the Docker API has none, so there they are labels. */
interface InProject {
  readonly project: string;
}

export interface Named extends InProject {
  readonly name: string;
}

export type ContainerStatus =
  "running" | "stopped" | "paused" | "starting" | "stopping" | "error" | "unknown";

/** undefined: no limit (in a request: as it is). */
export interface Resources {
  /** CPUs' worth of time; may be a fraction. */
  readonly cpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
}

export interface Container extends Named, Resources {
  /** Another one after a container was made anew under its name. */
  readonly id: string;
  readonly status: ContainerStatus;
  /** RFC 3339. */
  readonly createdAt: string;
  /** RFC 3339, of the start that it runs from; undefined unless it runs or is paused. */
  readonly startedAt: string | undefined;
  /** How much its files may take; undefined where nobody has said or can tell. */
  readonly diskBytes: number | undefined;
  /** As it was asked for, or how the backend identifies it. */
  readonly image: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Of its network interfaces, loopback and link-local ones left out. */
  readonly addresses: readonly string[];
  /** Where it runs, in a cluster. */
  readonly node: string | undefined;
  /** Changes when its configuration does (not with its status): what If-Match compares. */
  readonly revision: string;
}

export interface ContainerSpec extends Named, Resources {
  readonly image: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Instead of the image's; a system container always runs its init, so there it is refused. */
  readonly command?: readonly string[] | undefined;
  /** The bridge to be on; the backend's default without it. */
  readonly bridge?: string | undefined;
  /** How much its files may take. Docker's API only remembers it. */
  readonly diskBytes?: number | undefined;
  /** The storage pool of its root; the backend's default without it. */
  readonly pool?: string | undefined;
}

export const ACTIONS = ["start", "stop", "restart", "pause", "resume"] as const;
export type Action = (typeof ACTIONS)[number];

interface ActionRequest extends Named {
  readonly action: Action;
  /** How long it may take to shut down by itself before it is killed (stop, restart). */
  readonly graceSeconds?: number | undefined;
}

/** A container that already is as the action leaves it is left alone. */
interface Containers {
  /** By name. Without a project those of all projects. */
  list: Verb<{ readonly project?: string | undefined }, readonly Container[]>;
  get: Verb<Named, Container>;
  /** It is not started. */
  create: Verb<ContainerSpec, Container>;
  /** While it runs. `revision` says which one was looked at. @throws BackendError `changed` when it is another one now */
  update: Verb<Named & Resources & { readonly revision?: string | undefined }, Container>;
  act: Verb<ActionRequest, Container>;
  /** Its snapshots go with it. A running one only with `force`. */
  remove: Verb<Named & { readonly force?: boolean | undefined }, void>;
}

export interface LogLine {
  /** RFC 3339; undefined where the backend keeps no times. */
  readonly at: string | undefined;
  /** A system container has a console instead of the two. */
  readonly stream: "stdout" | "stderr" | "console";
  /** Without its end of line; longer ones come in pieces. */
  readonly text: string;
}

export interface LogRequest extends Named {
  /** So many of the newest lines first. */
  readonly tail: number;
  /** Goes on with what comes until the call's signal, or the container's end. */
  readonly follow?: boolean | undefined;
}

interface Logs {
  read: Verb<LogRequest, AsyncIterable<LogLine>>;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalRequest extends Named, Size {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

export interface Terminal {
  /** What is typed goes in, what is shown comes out; ends with the command. Destroying it hangs up. */
  readonly stream: Duplex;
  readonly resize: (size: Size) => Promise<void>;
  /** The command's exit code; undefined when it cannot be known. Never rejects. */
  readonly exitCode: Promise<number | undefined>;
}

interface Terminals {
  open: Verb<TerminalRequest, Terminal>;
}

export interface Snapshot {
  readonly container: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly comment: string;
  /** What it takes beyond what it shares; undefined where the storage does not tell. */
  readonly sizeBytes: number | undefined;
}

export interface OfSnapshot extends Named {
  readonly snapshot: string;
}

interface Snapshots {
  /** Oldest first. */
  list: Verb<Named, readonly Snapshot[]>;
  create: Verb<OfSnapshot & { readonly comment?: string | undefined }, Snapshot>;
  /** A running container runs again afterwards. */
  restore: Verb<OfSnapshot, Container>;
  remove: Verb<OfSnapshot, void>;
  /** A new container with the snapshot's files and the container's limits and labels. It is not started. */
  clone: Verb<OfSnapshot & { readonly newName: string }, Container>;
  /**
   * The snapshot as one tar, which the engine itself can read in again. What it takes in the engine meanwhile is removed when the
   * stream has ended or was given up; what a process that was killed has left goes with the container's next export.
   *
   * @param exportId another one for each attempt
   */
  export: Verb<OfSnapshot & { readonly exportId: string }, AsyncIterable<Uint8Array>>;
}

export interface Pool {
  readonly pool: string;
  readonly driver: string;
  readonly status: string;
  readonly totalBytes: number | undefined;
  readonly usedBytes: number | undefined;
}

export interface Volume extends InProject {
  readonly pool: string;
  readonly volume: string;
  readonly createdAt: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly usedBy: number;
}

export interface OfVolume extends InProject {
  readonly pool: string;
  readonly volume: string;
}

interface Storage {
  pools: Verb<object, readonly Pool[]>;
  createPool: Verb<
    {
      readonly pool: string;
      readonly driver: string;
      readonly sizeBytes?: number | undefined;
    },
    Pool
  >;
  removePool: Verb<{ readonly pool: string }, void>;
  volumes: Verb<InProject & { readonly pool: string }, readonly Volume[]>;
  createVolume: Verb<OfVolume & { readonly sizeBytes?: number | undefined }, Volume>;
  removeVolume: Verb<OfVolume, void>;
}

export interface Bridge {
  readonly bridge: string;
  /** CIDR of the host's side. */
  readonly address: string | undefined;
  readonly nat: boolean;
  /** Made by the backend, so that it may be removed by it. */
  readonly managed: boolean;
  readonly usedBy: number;
}

export interface Interface {
  readonly interface: string;
  /** physical, bridge, loopback, … */
  readonly type: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly hardwareAddress: string;
  readonly addresses: readonly string[];
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

interface Network {
  bridges: Verb<object, readonly Bridge[]>;
  createBridge: Verb<
    {
      readonly bridge: string;
      /** CIDR of the host's side, such as 10.7.0.1/24; the backend chooses one without it. */
      readonly address?: string | undefined;
      readonly nat?: boolean | undefined;
    },
    Bridge
  >;
  removeBridge: Verb<{ readonly bridge: string }, void>;
  interfaces: Verb<object, readonly Interface[]>;
}

interface ClusterNode {
  readonly node: string;
  readonly address: string;
  readonly status: string;
  readonly message: string;
  readonly roles: readonly string[];
}

export interface Cluster {
  readonly clustered: boolean;
  /** This server's name in it. */
  readonly node: string | undefined;
  readonly nodes: number;
}

export interface JoinRequest {
  /** This server's name in the cluster. */
  readonly node: string;
  /** host:port at which the others reach this server. */
  readonly address: string;
  /** What a member gave for this node; undefined begins a new cluster with this server alone. */
  readonly token?: string | undefined;
}

interface Clusters {
  info: Verb<object, Cluster>;
  nodes: Verb<object, readonly ClusterNode[]>;
  join: Verb<JoinRequest, Cluster>;
  /** @param force also a node that does not answer, whose containers are lost */
  leave: Verb<{ readonly node: string; readonly force?: boolean | undefined }, void>;
}

interface HostInfo {
  /** Of the engine behind the API: LXD, Incus, Docker, Podman. */
  readonly engine: string;
  readonly version: string;
}

interface Host {
  /** The cheapest question that shows that the backend answers. */
  info: Verb<object, HostInfo>;
  /** So that it is told before anything is begun, also by a dry run. @throws BackendError `unsupported` */
  must: Verb<{ readonly ability: Ability }, void>;
}

/** What runs containers. One set of tests holds every implementation to these comments: test/hypervisor/backends/contract.ts */
export interface Backend {
  /** How problems name it. */
  readonly name: string;
  readonly host: Host;
  readonly containers: Containers;
  readonly logs: Logs;
  readonly terminals: Terminals;
  readonly snapshots: Snapshots;
  readonly storage: Storage;
  readonly network: Network;
  readonly clusters: Clusters;
  /** Ends its connections; what runs in containers goes on. */
  readonly close: () => Promise<void>;
}

type RawVerb<V> =
  V extends Verb<infer Request, infer Answer>
    ? (request: Request, signal: AbortSignal) => Promise<Answer>
    : never;

/**
 * What an implementation writes: verbs whose names were checked and whose signal is the caller's and the deadline's in one.
 * What they throw becomes a BackendError by `explain`.
 */
export type RawBackend = {
  readonly [Group in Exclude<keyof Backend, "name" | "close">]: {
    readonly [V in keyof Backend[Group]]: RawVerb<Backend[Group][V]>;
  };
};
