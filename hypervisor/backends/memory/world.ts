import { randomUUID } from "node:crypto";
import type { Clock } from "../../../lib/clock.ts";
import { BackendError } from "../error.ts";
import { revisionOf } from "../revision.ts";
import type {
  Bridge,
  Cluster,
  Container,
  ContainerSpec,
  ContainerStatus,
  LogLine,
  Named,
  Pool,
  Snapshot,
  Volume,
} from "../types.ts";

/** What a snapshot brings back. */
interface SnapshotState {
  readonly snapshot: Snapshot;
  readonly files: Readonly<Record<string, string>>;
}

export interface MemoryContainer {
  readonly spec: ContainerSpec;
  readonly id: string;
  readonly createdAt: string;
  cpus: number | undefined;
  memoryBytes: number | undefined;
  status: ContainerStatus;
  startedAt: string | undefined;
  /** Its file system, as far as the pretended shell has one. */
  files: Record<string, string>;
  readonly snapshots: Map<string, SnapshotState>;
  readonly log: LogLine[];
  /** Woken at each line and each change of status. */
  readonly watchers: Set<() => void>;
}

/** Everything that the memory backend has. */
export interface World {
  readonly clock: Clock;
  /** undefined: whatever is asked for exists. */
  readonly images: ReadonlySet<string> | undefined;
  /** By `project/name`. */
  readonly containers: Map<string, MemoryContainer>;
  readonly pools: Map<string, Pool>;
  /** By `project/pool/volume`. */
  readonly volumes: Map<string, Volume>;
  readonly bridges: Map<string, Bridge>;
  cluster: Cluster;
}

const LOG_LINES_MAX = 1_000;

export function createWorld(clock: Clock, images: readonly string[] | undefined): World {
  const pool = {
    pool: "default",
    driver: "memory",
    status: "created",
    totalBytes: undefined,
    usedBytes: undefined,
  };
  const bridge = {
    bridge: "fettle0",
    address: "10.77.0.1/24",
    nat: true,
    managed: true,
    usedBy: 0,
  };
  return {
    clock,
    images: images === undefined ? undefined : new Set(images),
    containers: new Map(),
    pools: new Map([[pool.pool, pool]]),
    volumes: new Map(),
    bridges: new Map([[bridge.bridge, bridge]]),
    cluster: { clustered: false, node: undefined, nodes: 0 },
  };
}

export function timeOf({ clock }: World): string {
  return clock.now().toISOString();
}

export function keyOf({ project, name }: Named): string {
  return `${project}/${name}`;
}

/** @throws BackendError `not_found` */
export function find(world: World, place: Named): MemoryContainer {
  const container = world.containers.get(keyOf(place));
  if (container !== undefined) return container;
  const why = `there is no container ${place.name} in project ${place.project}`;
  throw new BackendError("not_found", why);
}

/** @throws BackendError `conflict`, or `not_found` for the image */
export function add(world: World, spec: ContainerSpec): MemoryContainer {
  if (world.containers.has(keyOf(spec))) {
    throw new BackendError("conflict", `there is a container ${spec.name} already`);
  }
  if (world.images?.has(spec.image) === false) {
    throw new BackendError("not_found", `there is no image ${spec.image}`);
  }
  const container: MemoryContainer = {
    spec,
    id: randomUUID(),
    createdAt: timeOf(world),
    cpus: spec.cpus,
    memoryBytes: spec.memoryBytes,
    status: "stopped",
    startedAt: undefined,
    files: {},
    snapshots: new Map(),
    log: [],
    watchers: new Set(),
  };
  world.containers.set(keyOf(spec), container);
  return container;
}

/** As the port has it. */
export function shown({
  spec,
  id,
  status,
  createdAt,
  startedAt,
  ...limits
}: MemoryContainer): Container {
  const { project, name, image, diskBytes, labels = {} } = spec;
  const { cpus, memoryBytes } = limits;
  return {
    project,
    name,
    image,
    labels,
    id,
    status,
    createdAt,
    startedAt,
    cpus,
    memoryBytes,
    diskBytes,
    addresses: [],
    node: undefined,
    revision: revisionOf({ id, cpus, memoryBytes, labels }),
  };
}

/** A line of the container's console; the oldest go. */
export function say(world: World, container: MemoryContainer, text: string): void {
  container.log.push({ at: timeOf(world), stream: "stdout", text });
  if (container.log.length > LOG_LINES_MAX) container.log.shift();
  wake(container);
}

export function wake({ watchers }: MemoryContainer): void {
  for (const watcher of [...watchers]) watcher();
}
