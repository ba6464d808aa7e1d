/** A drawing of lines, bands and dots. Points are left out only if there are too many to draw. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

import { colorValue, type Style } from "./colors";
import { mostDots, type Picture, type Tick } from "./picture";
import { greatest, least } from "./statistics";
import { countBetween, thinned } from "./thinning";

const height = 380;
/** The greatest distance in pixels at which the pointer selects a point. */
const nearPixels = 40;
/** The approximate width in pixels of a digit of a label. */
const letterPixels = 7;
const bandOpacity = "2e";
const faintOpacity = "55";

/** A line, or dots. */
export interface Mark extends Style {
  readonly name: string;
  readonly x: readonly number[];
  /** A NaN is a gap. */
  readonly y: readonly number[];
  /** The ends of the interval at each point, drawn as a band. */
  readonly low?: readonly number[];
  readonly high?: readonly number[];
  readonly isDots?: boolean;
  readonly isFaint?: boolean;
}

/** An axis of a drawing. */
export interface ChartAxis {
  readonly title: string;
  readonly isLog?: boolean;
  readonly format?: ((value: number) => string) | undefined;
  /** If set, only these places have labels. They are few numbers, or stand for texts. */
  readonly places?: readonly number[] | undefined;
  /** Whether only integers have a label. */
  readonly isInteger?: boolean;
}

/** The number of drawn points of a mark, and of its points in the visible range. */
export interface Drawn {
  readonly drawn: number;
  readonly inSight: number;
}

/** Draws marks. Dragging over the drawing magnifies, a double click shows everything. */
export function Chart({ marks, x, y, label, onDrawn, describe, picture }: {
  marks: readonly Mark[]; x: ChartAxis; y: ChartAxis; label: string;
  onDrawn?: (drawn: Drawn[]) => void;
  /** The text for a point under the pointer. */
  describe: (mark: Mark, index: number) => string;
  /** Gets a function that returns what is drawn, to save it. */
  picture: { current: (() => Picture) | undefined };
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>();
  const shown = useRef(marks);
  shown.current = marks;
  const [range, setRange] = useState<[number, number]>();
  const [read, setRead] = useState("");
  const theme = useTheme();
  const look = JSON.stringify([marks.map(({ name, color, dash, low, isDots, isFaint }) => [name, color, dash, low !== undefined, isDots, isFaint]), x, y, theme]);
  useEffect(() => {
    const ticks = { x: [] as Tick[], y: [] as Tick[] };
    const onMove = (found: uPlot): void => {
      const near = nearest(found, shown.current);
      setRead(near === undefined ? "" : describe(shown.current[near.mark]!, near.index));
    };
    const found = new uPlot(optionsOf(marks, x, y, box.current!.clientWidth, ticks, setRange, onMove), [[]], box.current!);
    plot.current = found;
    picture.current = () => pictureOf(found, shown.current, x, y, ticks);
    const observer = new ResizeObserver(() => found.setSize({ width: box.current!.clientWidth, height }));
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      found.destroy();
    };
  }, [look]);
  useEffect(() => {
    const [from, to] = range ?? extentOf(marks, x.isLog === true);
    const columns = Math.max(50, Math.floor(box.current!.clientWidth * devicePixelRatio));
    const parts = marks.map((mark) => thinned({ x: mark.x, values: valuesOf(mark) }, from, to, mark.isDots ? Infinity : columns));
    plot.current!.setData(joined(parts, x.isLog === true, y.isLog === true), false);
    plot.current!.batch(() => plot.current!.setScale("x", { min: from, max: to }));
    onDrawn?.(marks.map((mark, index) => ({ drawn: parts[index]!.x.length, inSight: countBetween(mark.x, from, to) })));
  }, [marks, range, look]);
  return (
    <>
      <div ref={box} class="chart" role="img" aria-label={label} onDblClick={() => setRange(undefined)} />
      <p class="read" aria-hidden="true"><bdi>{read}</bdi>{range !== undefined && read === "" && "A part of the range is shown."}</p>
    </>
  );
}

function valuesOf({ y, low, high }: Mark): (readonly number[])[] {
  return low === undefined || high === undefined ? [y] : [y, low, high];
}

/** The range of x, with some room around dots and around a single value. */
function extentOf(marks: readonly Mark[], isLog: boolean): [number, number] {
  const all = marks.flatMap(({ x }) => (x.length > 0 ? [x[0]!, x.at(-1)!] : []));
  const above = isLog ? marks.flatMap(({ x }) => x.find((each) => each > 0) ?? []) : all;
  const [from, to] = [least(above), greatest(all)];
  if (!(from <= to)) {
    return isLog ? [1, 10] : [0, 1];
  }
  if (isLog) {
    return [from / 1.3, to * 1.3];
  }
  const room = marks.some(({ isDots }) => isDots) ? (to - from) * 0.04 || Math.abs(to) * 0.1 || 0.5 : 0;
  return [from - room, to === from ? to + (room || 1) : to + room];
}

/** The data of all marks on one x axis. NaN, and 0 or less on a logarithmic axis, are gaps. */
function joined(parts: readonly { x: readonly number[]; values: readonly (readonly number[])[] }[], isLogX: boolean, isLogY: boolean): uPlot.AlignedData {
  const shown = (value: number): number | null => (Number.isFinite(value) && (!isLogY || value > 0) ? value : null);
  const tables = parts.map(({ x, values }): uPlot.AlignedData => {
    const kept = isLogX ? x.flatMap((each, index) => (each > 0 ? [index] : [])) : [...x.keys()];
    return [kept.map((index) => x[index]!), ...values.map((each) => kept.map((index) => shown(each[index]!)))];
  });
  return tables.length === 0 ? [[]] : joinedTables(tables);
}

/** Joins tables. If dots have the same x, which `uPlot.join` does not allow, each point is a row. */
function joinedTables(tables: uPlot.AlignedData[]): uPlot.AlignedData {
  if (tables.every(([x]) => x.every((value, index) => index === 0 || value > x[index - 1]!))) {
    return uPlot.join(tables);
  }
  const rows = tables.flatMap((table, number) => [...table[0].keys()].map((index) => [table[0][index]!, number, index] as const))
    .sort(([one], [other]) => one - other);
  const columns = tables.flatMap((table, number) => table.slice(1).map((values) =>
    rows.map(([, owner, index]) => (owner === number ? values[index] : undefined))));
  return [rows.map(([x]) => x), ...columns] as uPlot.AlignedData;
}

function optionsOf(
  marks: readonly Mark[], x: ChartAxis, y: ChartAxis, width: number, ticks: { x: Tick[]; y: Tick[] },
  setRange: (range: [number, number]) => void, onMove: (plot: uPlot) => void,
): uPlot.Options {
  const [ink, line] = [colorValue("quiet"), colorValue("line")];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const mark of marks) {
    const stroke = colorValue(`c${mark.color}`);
    series.push(mark.isDots
      ? { stroke, paths: () => null, points: { show: true, size: 8, fill: `${stroke}99`, width: 1 } }
      : { stroke: mark.isFaint ? stroke + faintOpacity : stroke, width: mark.isFaint ? 1 : 2, dash: mark.dash, points: { show: mark.isFaint ? false : isSparse, size: 6, fill: colorValue("paper") } });
    if (mark.low !== undefined) {
      bands.push({ series: [series.length + 1, series.length], fill: stroke + bandOpacity });
      const edge = { stroke: "transparent", width: 0, points: { show: false } };
      series.push(edge, edge);
    }
  }
  const axis = (about: ChartAxis, side: "x" | "y"): uPlot.Axis => ({
    stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif",
    label: about.title, labelFont: "12px system-ui, sans-serif", labelSize: 22, labelGap: 0, size: side === "y" ? 64 : 34,
    ...(about.places ? { splits: (_plot, _axis, from, to) => about.places!.filter((place) => place >= from && place <= to), filter: (_plot, splits) => splits }
      : about.isLog ? { splits: (_plot, _axis, from, to) => logSplits(from, to), filter: (_plot, splits) => splits } : {}),
    ...(about.isInteger ? { incrs: integers } : {}),
    values: (plot, splits) => {
      const texts = splits.map((split) => (split === null ? "" : (about.format ?? formatTick)(split)));
      if (side === "x" && about.places && !about.format) {
        blankNear(texts, splits.map((split) => plot.valToPos(split, "x")));
      }
      ticks[side] = splits.map((at, index) => ({ at, text: texts[index]! }));
      return texts;
    },
  });
  return {
    width, height, series, bands,
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { show: false }, y: false },
    scales: { x: { time: false, auto: false, distr: x.isLog ? 3 : 1 }, y: y.isLog ? { distr: 3 } : {} },
    axes: [axis(x, "x"), axis(y, "y")],
    hooks: {
      setCursor: [onMove],
      setSelect: [(plot) => {
        const [from, to] = [plot.select.left, plot.select.left + plot.select.width];
        if (plot.select.width > 4) {
          setRange([plot.posToVal(from, "x"), plot.posToVal(to, "x")]);
        }
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** Removes the text of each label that would cover the previous label. */
function blankNear(texts: string[], places: readonly number[]): void {
  let end = -Infinity;
  texts.forEach((text, index) => {
    const half = (text.length * letterPixels) / 2;
    if (places[index]! - half < end) {
      texts[index] = "";
    } else {
      end = places[index]! + half + letterPixels;
    }
  });
}

/** The steps between the labels of integers: 1, 2, 5, 10, … */
const integers = [...Array(16).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

/** At most some ten powers of ten. In a small range, their multiples too. */
function logSplits(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  const every = Math.ceil((last - first) / 10);
  const digits = last - first <= 2 ? [1, 2, 3, 5, 7] : last - first <= 4 ? [1, 3] : [1];
  const powers = [...Array(last - first + 1).keys()].filter((index) => (first + index) % every === 0);
  return powers.flatMap((index) => digits.map((digit) => Number(`${digit}e${first + index}`)))
    .filter((split) => split >= from && split <= to);
}

function isSparse(plot: uPlot, series: number, first: number, last: number): boolean {
  const values = plot.data[series] ?? [];
  let count = 0;
  for (let index = first; index <= last && count <= mostDots; index++) {
    count += values[index] == null ? 0 : 1;
  }
  return count <= mostDots;
}

/** The point that is nearest to the pointer. */
function nearest(plot: uPlot, marks: readonly Mark[]): { mark: number; index: number } | undefined {
  const { left = -1, top = -1 } = plot.cursor;
  let found: { mark: number; index: number } | undefined;
  let best = left < 0 ? 0 : nearPixels ** 2;
  const [from, to] = [plot.posToVal(left - nearPixels, "x"), plot.posToVal(left + nearPixels, "x")];
  marks.forEach(({ x, y, isFaint }, mark) => {
    for (let index = x.length - countBetween(x, from, Infinity); !isFaint && index < x.length && x[index]! <= to; index++) {
      const distance = (plot.valToPos(x[index]!, "x") - left) ** 2 + (plot.valToPos(y[index]!, "y") - top) ** 2;
      if (distance < best) {
        best = distance;
        found = { mark, index };
      }
    }
  });
  return found;
}

/** The drawing in pixels, to save it. */
function pictureOf(plot: uPlot, marks: readonly Mark[], x: ChartAxis, y: ChartAxis, ticks: { x: Tick[]; y: Tick[] }): Picture {
  const ratio = uPlot.pxRatio;
  const frame = { left: plot.bbox.left / ratio, top: plot.bbox.top / ratio, width: plot.bbox.width / ratio, height: plot.bbox.height / ratio };
  const at = (value: number | null | undefined, side: "x" | "y"): number | undefined =>
    value == null ? undefined : plot.valToPos(value, side) + (side === "x" ? frame.left : frame.top);
  const placed = (side: "x" | "y"): Tick[] =>
    ticks[side].filter(({ text }) => text !== "").map(({ at: value, text }) => ({ at: at(value, side)!, text }));
  let series = 1;
  const shapes = marks.map((mark) => {
    const first = series;
    series += mark.low === undefined ? 1 : 3;
    const points = (number: number) => [...plot.data[0]].flatMap((value, index): [number, number | undefined][] => {
      const found = plot.data[number]![index];
      return found === undefined ? [] : [[at(value, "x")!, at(found, "y")]];
    });
    const shape = { name: mark.name, color: mark.color, dash: mark.dash, isDots: mark.isDots === true, isFaint: mark.isFaint === true };
    return { ...shape, points: points(first), ...(mark.low ? { low: points(first + 1), high: points(first + 2) } : {}) };
  });
  return { width: plot.width, height: plot.height, frame, xTitle: x.title, yTitle: y.title, xTicks: placed("x"), yTicks: placed("y"), shapes };
}

function formatTick(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e7)) {
    return String(Number(value.toPrecision(3)).toExponential());
  }
  return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 8 });
}

/** The theme of the page. If it changes, a component that uses this is drawn again. */
function useTheme(): string {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const [theme, setTheme] = useState(dark.matches ? "dark" : "light");
  useEffect(() => {
    const follow = (): void => setTheme(dark.matches ? "dark" : "light");
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, []);
  return theme;
}
