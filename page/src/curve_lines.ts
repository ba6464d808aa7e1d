/** The lines of a drawing of curves: one for each arm, or the mean and interval of each group. */

import type { ArmPoints } from "./curve_data";
import { describe } from "./statistics";

/** An arm or a group to draw, with the arms that belong to it. */
export interface Unit {
  readonly name: string;
  readonly isGroup: boolean;
  readonly arms: readonly string[];
}

/** The points of an arm, or the means of a group with their intervals. A NaN is a gap. */
export interface Line extends Unit {
  readonly x: number[];
  readonly steps: number[];
  readonly y: number[];
  /** Of a group: the ends of the intervals, NaN where there is none. */
  readonly low?: number[];
  readonly high?: number[];
  /** Of a group: how many arms have a number, and how many have NaN, at each point. */
  readonly n?: number[];
  readonly nans?: number[];
}

/** The quantity on the x axis. */
export type XAxis = "step" | "time";

/** The line of an arm or a group. Its points are in the order of x. */
export function lineOf(unit: Unit, arms: readonly ArmPoints[], xAxis: XAxis): Line {
  const line = unit.isGroup ? groupLine(unit, arms, xAxis) : armLine(unit, arms[0], xAxis);
  return xAxis === "time" ? sorted(line) : line;
}

function armLine(unit: Unit, arm: ArmPoints | undefined, xAxis: XAxis): Line {
  const { steps = [], seconds = [], values = [] } = arm ?? {};
  return { ...unit, x: xAxis === "time" ? seconds : steps, steps, y: values };
}

/** At each step, the statistics of the arms with a number at it, as `podium.curves` computes them. */
function groupLine(unit: Unit, arms: readonly ArmPoints[], xAxis: XAxis): Line {
  const found = new Map<number, { values: number[]; seconds: number[] }>();
  for (const { steps, seconds, values } of arms) {
    steps.forEach((step, index) => {
      const point = found.get(step) ?? { values: [], seconds: [] };
      found.set(step, point);
      point.values.push(values[index]!);
      point.seconds.push(seconds[index] ?? NaN);
    });
  }
  const points = [...found].sort(([one], [other]) => one - other).map(([step, { values, seconds }]) => {
    const numbers = values.filter((value) => !Number.isNaN(value));
    return { step, nans: values.length - numbers.length, time: describe(seconds.filter(Number.isFinite)).mean, ...describe(numbers) };
  });
  const steps = points.map(({ step }) => step);
  return {
    ...unit, steps,
    x: xAxis === "time" ? points.map(({ time = NaN }) => time) : steps,
    y: points.map(({ mean = NaN }) => mean),
    low: points.map(({ ciLow = NaN }) => ciLow),
    high: points.map(({ ciHigh = NaN }) => ciHigh),
    n: points.map(({ n }) => n),
    nans: points.map(({ nans }) => nans),
  };
}

/** The points in the order of x. Points without an x are left out. */
function sorted(line: Line): Line {
  const order = line.x.flatMap((x, index) => (Number.isNaN(x) ? [] : [index]))
    .sort((one, other) => line.x[one]! - line.x[other]!);
  const entries = Object.entries(line).map(([key, values]) =>
    [key, key !== "arms" && Array.isArray(values) ? order.map((index) => (values as number[])[index]!) : values]);
  return Object.fromEntries(entries) as Line;
}

/** An exponential moving mean. `weight`, from 0 to 1, is that of the earlier values. Gaps stay. */
export function smoothed(line: Line, weight: number): Line {
  const of = (values: number[]): number[] => {
    let [mean, total] = [0, 0];
    return values.map((value) => {
      if (!Number.isFinite(value)) {
        return value;
      }
      mean = mean * weight + value * (1 - weight);
      total = total * weight + (1 - weight);
      return mean / total;
    });
  };
  return { ...line, y: of(line.y), ...(line.low && line.high ? { low: of(line.low), high: of(line.high) } : {}) };
}
