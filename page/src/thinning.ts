/** Fewer points for a drawing, without losing a spike. */

/** The points of a line, in the order of `x`. A NaN is a gap. */
export interface Points {
  readonly x: number[];
  readonly y: number[];
}

/**
 * The points in a range: of each of the columns of the drawing the first, the smallest, the
 * greatest and the last. All of them if they are not more than that.
 */
export function thinned(points: Points, from: number, to: number, columns: number): Points {
  const [begin, end] = [firstAt(points.x, from), firstAt(points.x, to, true)];
  if (end - begin <= 4 * columns) {
    return { x: points.x.slice(begin, end), y: points.y.slice(begin, end) };
  }
  const kept: number[] = [];
  const width = (to - from) / columns || 1;
  for (let start = begin; start < end; ) {
    const limit = Math.floor((points.x[start]! - from) / width);
    let stop = start + 1;
    while (stop < end && Math.floor((points.x[stop]! - from) / width) === limit) {
      stop++;
    }
    kept.push(...ofColumn(points.y, start, stop));
    start = stop;
  }
  return { x: kept.map((index) => points.x[index]!), y: kept.map((index) => points.y[index]!) };
}

/** The indices of a column that are drawn, in order. A NaN is kept, so that its gap is seen. */
function ofColumn(y: number[], start: number, stop: number): number[] {
  let [least, most, gap] = [start, start, -1];
  for (let index = start; index < stop; index++) {
    const value = y[index]!;
    gap = Number.isNaN(value) ? index : gap;
    least = !(y[least]! <= value) && !Number.isNaN(value) ? index : least;
    most = !(y[most]! >= value) && !Number.isNaN(value) ? index : most;
  }
  const kept = new Set([start, least, most, stop - 1]);
  if (gap >= 0) {
    kept.add(gap);
  }
  return [...kept].sort((a, b) => a - b);
}

/** The index of the first `x` that is at a bound or above it, or only above it. */
function firstAt(x: number[], bound: number, isAbove = false): number {
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
