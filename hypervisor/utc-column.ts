interface UtcColumnOptions {
  /** Its name in the answer; the column's own without it. */
  readonly as?: string;
  readonly milliseconds?: boolean;
}

/** SQL of a column with a time as the API shows it: RFC 3339, UTC. Never given anything that a client sent. */
export function utcColumn(
  column: string,
  { as = column, milliseconds = false }: UtcColumnOptions = {},
): string {
  const fraction = milliseconds ? ".MS" : "";
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS${fraction}"Z"') AS ${as}`;
}

/** Several, joined by commas. */
export function utcColumns(
  columns: readonly string[],
  options: Omit<UtcColumnOptions, "as"> = {},
): string {
  return columns.map((column) => utcColumn(column, options)).join(", ");
}
