import type { Labels } from "./types/source.ts";

const OFFSET_BASIS = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;
const SEPARATOR = Uint8Array.of(0xff);

/**
 * Alertmanager's fingerprint of a label set: 64-bit FNV-1a over name 0xff value 0xff, labels sorted by name, as
 * 16 hex digits (prometheus/common `model/signature.go`). Bytes, not UTF-16 units.
 */
export function fingerprint(labels: Labels): string {
  const encoder = new TextEncoder();
  let hash = OFFSET_BASIS;
  const add = (bytes: Uint8Array): void => {
    for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  };
  for (const name of Object.keys(labels).sort()) {
    add(encoder.encode(name));
    add(SEPARATOR);
    add(encoder.encode(labels[name]));
    add(SEPARATOR);
  }
  return hash.toString(16).padStart(16, "0");
}
