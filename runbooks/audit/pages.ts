/** How somebody who reads page by page is told, and stopped. */
export interface Pace {
  /** Called after each page with the rows that it had. */
  readonly afterPage?: (rows: number) => Promise<void> | void;
  readonly signal?: AbortSignal;
}

export const PAGE_ROWS = 2_000;

/**
 * Reads pages until an empty one.
 *
 * @param read gives the page behind a row; undefined: the first
 * @throws when the signal aborts
 */
export async function eachPage<Row>(
  read: (last: Row | undefined) => Promise<readonly Row[]>,
  use: (row: Row) => void,
  { afterPage, signal }: Pace,
): Promise<void> {
  for (let rows = await read(undefined); rows.length > 0; rows = await read(rows.at(-1))) {
    for (const row of rows) use(row);
    signal?.throwIfAborted();
    await afterPage?.(rows.length);
  }
}
