/** Reduces the points of a drawing, but keeps each spike. */

/** The points of a line, in the order of `x`, with one or more values each. A NaN is a gap. */
export interface Points {
  readonly x: readonly number[];
  readonly values: readonly (readonly number[])[];
}

/** The number of points in a range of x. */
export function countBetween(x: readonly number[], from: number, to: number): number {
  return firstAt(x, to, true) - firstAt(x, from);
}

/**
 * The points in a range that are drawn. The drawing has columns; of each value, each column keeps
 * the first, smallest, greatest and last point. If the range has few points, all are kept.
 */
export function thinned({ x, values }: Points, from: number, to: number, columns: number): Points {
  const [begin, end] = [firstAt(x, from), firstAt(x, to, true)];
  if (end - begin <= 4 * columns) {
    return { x: x.slice(begin, end), values: values.map((each) => each.slice(begin, end)) };
  }
  const kept: number[] = [];
  const width = (to - from) / columns || 1;
  for (let start = begin; start < end; ) {
    const limit = Math.floor((x[start]! - from) / width);
    let stop = start + 1;
    while (stop < end && Math.floor((x[stop]! - from) / width) === limit) {
      stop++;
    }
    const column = new Set(values.flatMap((each) => ofColumn(each, start, stop)));
    kept.push(...[...column].sort((a, b) => a - b));
    start = stop;
  }
  return { x: kept.map((index) => x[index]!), values: values.map((each) => kept.map((index) => each[index]!)) };
}

/** The indices that a column keeps. A NaN is kept, so that its gap is visible. */
function ofColumn(y: readonly number[], start: number, stop: number): number[] {
  let [low, high, gap] = [start, start, -1];
  for (let index = start; index < stop; index++) {
    const value = y[index]!;
    gap = Number.isNaN(value) ? index : gap;
    low = !(y[low]! <= value) && !Number.isNaN(value) ? index : low;
    high = !(y[high]! >= value) && !Number.isNaN(value) ? index : high;
  }
  return [start, low, high, stop - 1, ...(gap >= 0 ? [gap] : [])];
}

/** The index of the first `x` at or above a bound, or with `isAbove` the first above it. */
function firstAt(x: readonly number[], bound: number, isAbove = false): number {
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isAbove ? x[middle]! <= bound : x[middle]! < bound) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
