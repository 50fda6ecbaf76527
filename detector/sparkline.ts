const BLOCKS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** Values as one line of block characters, lowest to highest; a value that is not finite is a blank. */
export function sparkline(values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  return values.map((value) => block(value, low, high)).join("");
}

function block(value: number, low: number, high: number): string {
  if (!Number.isFinite(value)) return " ";
  if (high === low) return BLOCKS[3];
  // Halved first, so that a range from -1e308 to 1e308 does not overflow.
  const share = (value / 2 - low / 2) / (high / 2 - low / 2);
  return BLOCKS[Math.min(7, Math.floor(share * 8))] ?? BLOCKS[7];
}
