/** Statistics of some numbers, as `podium.statistics` computes them. A test compares both. */

/** The statistics of some numbers. A statistic that is not defined is absent. */
export interface Description {
  readonly n: number;
  /** Infinite if a number is infinite; absent with infinities of both signs, or without numbers. */
  readonly mean: number | undefined;
  /** The ends of the 95 % interval of the mean (Student's t). Absent for one or infinite numbers. */
  readonly ciLow: number | undefined;
  readonly ciHigh: number | undefined;
  readonly min: number | undefined;
  readonly max: number | undefined;
}

/** Describes numbers, none of which may be NaN. */
export function describe(numbers: readonly number[]): Description {
  const n = numbers.length;
  const [min, max] = n === 0 ? [undefined, undefined] : [least(numbers), greatest(numbers)];
  const mean = min === undefined || Number.isNaN(min + max!) ? undefined : meanOf(numbers, min, max!);
  const half = mean === undefined ? undefined : halfWidth(numbers, mean, Math.max(-min!, max!));
  const end = (sign: number) => (half === undefined || !Number.isFinite(half) ? undefined : mean! + sign * half);
  return { n, mean, ciLow: end(-1), ciHigh: end(1), min, max };
}

/** Half of the 95 % interval. The numbers are scaled, so that their squares do not overflow. */
function halfWidth(numbers: readonly number[], mean: number, scale: number): number | undefined {
  const n = numbers.length;
  if (n < 2 || !Number.isFinite(mean)) {
    return undefined;
  }
  const squares = numbers.reduce((sum, each) => sum + (each / scale - mean / scale) ** 2, 0);
  return squares === 0 || scale === 0 ? 0 : quantile(n - 1) * Math.sqrt(squares / (n - 1) / n) * scale;
}

/** The smallest of some numbers. Unlike `Math.min`, it has no limit on their number. */
export function least(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => Math.min(one, other), Infinity);
}

/** The greatest of some numbers. */
export function greatest(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => Math.max(one, other), -Infinity);
}

/** The mean. The second sum corrects what rounding lost in the first one. */
function meanOf(numbers: readonly number[], min: number, max: number): number {
  if (!Number.isFinite(min) || !Number.isFinite(max)) {
    return min + max;
  }
  const first = numbers.reduce((sum, each) => sum + each / numbers.length, 0);
  if (min === max || !Number.isFinite(first)) {
    return min === max ? min : min + max;
  }
  return first + numbers.reduce((sum, each) => sum + (each - first) / numbers.length, 0);
}

const quantiles = new Map<number, number>();

/** The 97.5 % quantile of Student's t, for an integer number of degrees of freedom. */
function quantile(degrees: number): number {
  let found = quantiles.get(degrees);
  if (found === undefined) {
    let [low, high] = [1, 13];
    while (high - low > 1e-13 * high) {
      const middle = (low + high) / 2;
      [low, high] = within(middle, degrees) < 0.95 ? [middle, high] : [low, middle];
    }
    quantiles.set(degrees, (found = high));
  }
  return found;
}

/** P(|T| < t): Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4. */
function within(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const square = Math.cos(angle) ** 2;
  const isOdd = degrees % 2 === 1;
  let [term, sum] = [isOdd ? Math.cos(angle) : 1, 0];
  for (let index = isOdd ? 1 : 0; index < degrees - 1; index += 2) {
    sum += term;
    term *= (square * (index + 1)) / (index + 2);
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}
