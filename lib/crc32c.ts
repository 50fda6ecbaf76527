/** Castagnoli's polynomial, reflected; zlib's crc32 has another one. */
const POLYNOMIAL = 0x82f63b78;
const BITS_PER_BYTE = 8;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < BITS_PER_BYTE; bit++) {
    value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  }
  return value;
});

/** CRC32C as an unsigned number; for keys, not for files. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> BITS_PER_BYTE);
  return (crc ^ 0xffffffff) >>> 0;
}
