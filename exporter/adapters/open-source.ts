import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { openDatabase } from "../../lib/postgres.ts";
import { isMock, type ExporterConfig } from "../config.ts";
import type { Archive, AuditSource } from "../types.ts";
import { demoSource } from "./demo-source.ts";
import { postgresArchive } from "./postgres-archive.ts";
import { postgresSource } from "./postgres-source.ts";

export interface OpenedSource {
  readonly audit: AuditSource;
  /** Undefined for demo rows, of which no record is kept. */
  readonly archive: Archive | undefined;
  readonly close: () => Promise<void>;
}

/** The lock's connection, one that reads beside it, the one that records progress, and one for a scrape. */
const CONNECTIONS_MAX = 4;

export function openSource(config: ExporterConfig, log: Log): OpenedSource {
  if (isMock(config)) {
    return { audit: demoSource(systemClock), archive: undefined, close: async () => undefined };
  }
  const database = openDatabase(
    {
      url: config.databaseUrl.reveal(),
      applicationName: "fettle-exporter",
      max: CONNECTIONS_MAX,
    },
    log,
  );
  return {
    audit: postgresSource(database, { clock: systemClock, log }),
    archive: postgresArchive(database),
    close: async () => database.close(),
  };
}
