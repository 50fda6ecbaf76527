/** Few enough to be forgotten young: garbage that has grown old stays until the heap is collected as a whole. */
const PORTION = 64;

/** One by one → in arrays: an await for each of a million costs more than what is done with it. */
export async function* inPortions<T>(
  items: Iterable<Promise<T> | T>,
): AsyncGenerator<readonly T[]> {
  let portion: T[] = [];
  for (const item of items) {
    portion.push(item instanceof Promise ? await item : item);
    if (portion.length < PORTION) continue;
    yield portion;
    portion = [];
  }
  if (portion.length > 0) yield portion;
}
