import { crc32 } from "node:zlib";
import type { Queryable } from "../lib/postgres.ts";

/**
 * The server has room for some 6,400 locks in all (64 for each of 100 connections), and a delivery may name 50,000 alerts:
 * names share this many locks.
 */
const BUCKETS = 128;
/** Any number that nobody else locks. */
const LOCK_SPACE = 7_305_030;

/**
 * Those who tell of the same things wait for each other here, until the end of the transaction. All locks are taken at once
 * and in one order, so that two deliveries with the same alerts in different orders cannot wait for each other for ever.
 */
export async function lockNames(tx: Queryable, names: Iterable<string>): Promise<void> {
  const buckets = new Set<number>();
  for (const name of names) buckets.add(crc32(name) % BUCKETS);
  await tx.query("SELECT pg_advisory_xact_lock($1::int, bucket) FROM unnest($2::int[]) AS bucket", [
    LOCK_SPACE,
    [...buckets].sort((left, right) => left - right),
  ]);
}
