const COMMA = 0x2c;
const BLANK = 0x20;
const PLUS = 0x2b;
const LETTER_T = 0x54;
const LETTER_Z = 0x5a;
/** Of `2026-11-21 14:05:00.123456+00`, as PostgreSQL writes it in UTC: the day (longer after the year 9999), and the zone. */
const DAY_LENGTH = 10;
const ZONE_LENGTH = 3;

/**
 * Moves a CSV row of the audit table towards the front, with its time (the third column, of a session in UTC) in the form of RFC
 * 3339. The server takes a tenth of the whole COPY for that form, a move costs the same with it (measured). The header, `infinity`
 * and times before Christ stay what they are.
 *
 * @returns where the row ends at its new place
 */
export function moveRow(bytes: Buffer, start: number, end: number, to: number): number {
  const time = behindComma(bytes, behindComma(bytes, start, end), end);
  const zone = behindComma(bytes, time, end) - 1 - ZONE_LENGTH;
  if (zone < time + DAY_LENGTH || bytes[zone] !== PLUS) {
    bytes.copyWithin(to, start, end);
    return to + end - start;
  }
  let blank = time + DAY_LENGTH;
  while (bytes[blank] !== BLANK && blank < zone) blank++;
  bytes[blank] = LETTER_T;
  bytes[zone] = LETTER_Z;
  bytes.copyWithin(to, start, zone + 1);
  bytes.copyWithin(to + zone + 1 - start, zone + ZONE_LENGTH, end);
  return to + end - start - ZONE_LENGTH + 1;
}

/** A call of `indexOf` costs more than looking at these few bytes. */
function behindComma(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== COMMA) at++;
  return at + 1;
}
