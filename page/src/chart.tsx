/** A drawing of curves. Points are left out only where the drawing has no room for them. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

import { colorIndex, colorValue, dashesOf } from "./colors";
import type { Line } from "./curve_data";
import { formatNumber } from "./format";
import { thinned } from "./thinning";

const height = 380;
/** Lines with at most this many points in sight have a dot at each point. */
const mostDots = 60;

/** How many points of a line are drawn, of how many in sight. */
export interface Drawn {
  readonly arm: string;
  readonly drawn: number;
  readonly inSight: number;
}

/** Draws lines by step. Dragging over the drawing magnifies, a double click shows everything. */
export function Chart({ lines, isLog, label, onDrawn, canvas }: {
  lines: readonly Line[]; isLog: boolean; label: string;
  onDrawn: (drawn: Drawn[]) => void; canvas: { current: HTMLCanvasElement | null };
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>();
  const [range, setRange] = useState<[number, number]>();
  const theme = useTheme();
  const names = lines.map(({ arm }) => arm);
  useEffect(() => {
    const found = new uPlot(optionsOf(names, isLog, box.current!.clientWidth, setRange), [[]], box.current!);
    plot.current = found;
    canvas.current = found.ctx.canvas;
    const observer = new ResizeObserver(() => found.setSize({ width: box.current!.clientWidth, height }));
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      found.destroy();
    };
  }, [names.join("\n"), isLog, theme]);
  useEffect(() => {
    const [from, to] = range ?? extentOf(lines);
    const columns = Math.max(50, Math.floor(box.current!.clientWidth * devicePixelRatio));
    const parts = lines.map((line) => thinned(line, from, to, columns));
    plot.current!.setData(joined(parts, isLog), false);
    plot.current!.batch(() => {
      plot.current!.setScale("x", { min: from, max: to === from ? from + 1 : to });
    });
    onDrawn(lines.map((line, index) => ({
      arm: line.arm, drawn: parts[index]!.x.length,
      inSight: line.x.filter((step) => step >= from && step <= to).length,
    })));
  }, [lines, range, isLog, theme]);
  return <div ref={box} class="chart" role="img" aria-label={label} onDblClick={() => setRange(undefined)} />;
}

function extentOf(lines: readonly Line[]): [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const { x } of lines) {
    if (x.length > 0) {
      least = Math.min(least, x[0]!);
      most = Math.max(most, x.at(-1)!);
    }
  }
  return least <= most ? [least, most] : [0, 1];
}

/** All lines over one axis. NaN, and what a logarithm cannot show, are gaps. */
function joined(parts: readonly { x: number[]; y: number[] }[], isLog: boolean): uPlot.AlignedData {
  const shown = (value: number): number | null =>
    Number.isFinite(value) && (!isLog || value > 0) ? value : null;
  const tables = parts.map(({ x, y }): uPlot.AlignedData => [x, y.map(shown)]);
  return tables.length === 0 ? [[]] : uPlot.join(tables);
}

function optionsOf(
  names: readonly string[], isLog: boolean, width: number, setRange: (range: [number, number]) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = [style.getPropertyValue("--quiet").trim(), style.getPropertyValue("--line").trim()];
  const dashes = dashesOf(names);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif" };
  return {
    width, height,
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { size: 8 } },
    scales: { x: { time: false, auto: false }, y: isLog ? { distr: 3 } : {} },
    axes: [
      { ...axis, values: (_plot, ticks) => ticks.map((tick) => tick.toLocaleString("en-US")) },
      { ...axis, size: 64, values: (_plot, ticks) => ticks.map((tick) => (tick === null ? "" : formatTick(tick))) },
    ],
    series: [{}, ...names.map((name, index): uPlot.Series => ({
      label: name, stroke: colorValue(colorIndex(name)), width: 2, dash: dashes[index]!,
      points: { show: (plot, _series, first, last) => isSparse(plot, index + 1, first, last), size: 6 },
    }))],
    hooks: {
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

function isSparse(plot: uPlot, series: number, first: number, last: number): boolean {
  const values = plot.data[series] ?? [];
  let count = 0;
  for (let index = first; index <= last && count <= mostDots; index++) {
    count += values[index] == null ? 0 : 1;
  }
  return count <= mostDots;
}

function formatTick(value: number): string {
  const size = Math.abs(value);
  return value === 0 || (size >= 1e-4 && size < 1e6) ? String(Number(value.toPrecision(6))) : value.toExponential(0);
}

/** The theme of the page; what draws with its colours is drawn again when it changes. */
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

/** The numbers of a line that its legend shows. */
export function summaryOf(line: Line): { last: string; least: string; most: string; notes: string[] } {
  const numbers = line.y.filter(Number.isFinite);
  const nans = line.y.filter(Number.isNaN).length;
  const infinite = line.y.length - numbers.length - nans;
  const least = numbers.reduce((one, other) => Math.min(one, other), Infinity);
  const most = numbers.reduce((one, other) => Math.max(one, other), -Infinity);
  return {
    last: line.y.length > 0 ? formatNumber(line.y.at(-1)!) : "–",
    least: numbers.length > 0 ? formatNumber(least) : "–",
    most: numbers.length > 0 ? formatNumber(most) : "–",
    notes: [...(nans > 0 ? [`${nans} NaN`] : []), ...(infinite > 0 ? [`${infinite} infinite`] : [])],
  };
}
