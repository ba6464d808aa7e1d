/** Charts as pictures in SVG, to save them. */

import { colorValue } from "./colors";

/** A place on an axis. */
export interface Tick {
  readonly at: number;
  readonly text: string;
}

type Point = readonly [x: number, y: number | undefined];

/** A line, a band or dots, in pixels. A point without y is a gap. */
export interface Shape {
  readonly name: string;
  readonly color: number;
  readonly dash: readonly number[];
  readonly isDots: boolean;
  readonly isFaint: boolean;
  readonly points: readonly Point[];
  readonly low?: readonly Point[];
  readonly high?: readonly Point[];
}

/** A chart, in pixels. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** The area inside the axes. */
  readonly frame: { left: number; top: number; width: number; height: number };
  readonly xTitle: string;
  readonly yTitle: string;
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
  readonly shapes: readonly Shape[];
}

/** A bar, or a dot with an interval, beside its name. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
  readonly text: string;
}

const titleHeight = 30;
const rowHeight = 22;
const mostLetters = 44;
/** Lines with at most this many points have a dot at each point. */
export const mostDots = 60;

/** A picture of a chart with its title and its legend. */
export function chartSVG(title: string, picture: Picture): string {
  const { width, height, frame, shapes } = picture;
  const named = shapes.filter(({ isFaint }) => !isFaint);
  const columns = Math.max(1, Math.min(named.length, Math.floor(width / 300)));
  const rows = Math.ceil(named.length / columns);
  const legend = named.map((shape, index) => {
    const [x, y] = [12 + (index % columns) * (width / columns), height + 16 + Math.floor(index / columns) * rowHeight];
    const sample = shape.isDots ? dot(x + 14, y, shape.color) : path(`M${x} ${y}h28`, shape);
    return sample + text(x + 36, y, cut(shape.name));
  });
  const [bottom, right] = [frame.top + frame.height, frame.left + frame.width];
  const grid = [
    ...picture.xTicks.map(({ at }) => `M${at} ${frame.top}V${bottom}`),
    ...picture.yTicks.map(({ at }) => `M${frame.left} ${at}H${right}`),
  ].join("");
  return svg(title, width, height + rows * rowHeight + 12, [
    `<clipPath id="frame"><rect x="${frame.left}" y="${frame.top}" width="${frame.width}" height="${frame.height}"/></clipPath>`,
    `<path d="${grid}" stroke="${colorValue("line")}" fill="none"/>`,
    ...picture.xTicks.map(({ at, text: label }) => text(at, bottom + 18, label, "middle")),
    ...picture.yTicks.map(({ at, text: label }) => text(frame.left - 8, at, label, "end")),
    text(frame.left + frame.width / 2, bottom + 42, cut(picture.xTitle), "middle"),
    `<g transform="rotate(-90 14 ${frame.top + frame.height / 2})">${text(14, frame.top + frame.height / 2, cut(picture.yTitle), "middle")}</g>`,
    `<g clip-path="url(#frame)">${shapes.map(drawn).join("")}</g>`,
    ...legend,
  ]);
}

/** A picture of bars, or of dots with intervals, one a row. */
export function barsSVG(title: string, bars: readonly Bar[], isBars: boolean): string {
  const [width, left, right] = [800, 300, 110];
  const ends = bars.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]).filter(Number.isFinite);
  const [from, to] = [Math.min(...ends, isBars ? 0 : Infinity), Math.max(...ends, isBars ? 0 : -Infinity)];
  const at = (value: number): number => left + (to > from ? (value - from) / (to - from) : 0.5) * (width - left - right);
  const color = colorValue("accent");
  const rows = bars.map(({ name, value, low, high, text: label }, index) => {
    const y = 12 + index * rowHeight;
    const [zero, end] = [at(Math.max(from, 0)), at(value)];
    const shape = !Number.isFinite(value) ? ""
      : isBars ? `<rect x="${Math.min(zero, end)}" y="${y - 7}" width="${Math.abs(end - zero)}" height="14" fill="${color}"/>`
        : `${low === undefined || high === undefined ? "" : `<path d="M${at(low)} ${y}H${at(high)}" stroke="${color}" stroke-width="3" opacity="0.45"/>`}<circle cx="${end}" cy="${y}" r="4" fill="${color}"/>`;
    return text(left - 12, y, cut(name), "end") + shape + text(width - right + 12, y, label);
  });
  return svg(title, width, bars.length * rowHeight + 12, rows);
}

/** A picture as PNG, with two pixels per pixel of the chart in each direction. */
export async function pngOf(picture: string): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([picture], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob((blob) => (blob === null ? reject(new Error("The picture is too large.")) : resolve(blob))));
  } finally {
    URL.revokeObjectURL(address);
  }
}

function svg(title: string, width: number, height: number, parts: readonly string[]): string {
  const total = height + titleHeight;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 ${-titleHeight} ${width} ${total}" font-family="system-ui, sans-serif" font-size="12">`
    + `<rect y="${-titleHeight}" width="${width}" height="${total}" fill="${colorValue("paper")}"/>`
    + `<g font-size="15" font-weight="600">${text(12, -12, title)}</g>${parts.join("\n")}</svg>\n`;
}

function drawn(shape: Shape): string {
  const { points, low, high, color, isDots, isFaint } = shape;
  if (isDots) {
    return points.map(([x, y]) => (y === undefined ? "" : dot(x, y, color))).join("");
  }
  const band = low && high ? `<path d="${bands(low, high)}" fill="${colorValue(`c${color}`)}" opacity="0.18"/>` : "";
  const single = points.length <= mostDots && !isFaint ? points.map(([x, y]) => (y === undefined ? "" : dot(x, y, color, 2.5))).join("") : "";
  return band + path(lines(points), shape) + single;
}

function lines(points: readonly Point[]): string {
  return points.map(([x, y], index) =>
    y === undefined ? "" : `${index === 0 || points[index - 1]![1] === undefined ? "M" : "L"}${round(x)} ${round(y)}`).join("");
}

/** The areas between two lines, one for each part without a gap. */
function bands(low: readonly Point[], high: readonly Point[]): string {
  const areas: string[] = [];
  let start = 0;
  for (let index = 0; index <= low.length; index++) {
    if (index === low.length || low[index]![1] === undefined || high[index]?.[1] === undefined) {
      const outline = [...high.slice(start, index), ...low.slice(start, index).reverse()];
      areas.push(outline.length > 2 ? `${lines(outline)}Z` : "");
      start = index + 1;
    }
  }
  return areas.join("");
}

function path(d: string, { color, dash, isFaint }: Pick<Shape, "color" | "dash" | "isFaint">): string {
  return `<path d="${d}" fill="none" stroke="${colorValue(`c${color}`)}" stroke-width="${isFaint ? 1 : 2}"${isFaint ? ' opacity="0.35"' : ""}${dash.length > 0 ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/>`;
}

function dot(x: number, y: number, color: number, radius = 3.5): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="${radius}" fill="${colorValue(`c${color}`)}"/>`;
}

function text(x: number, y: number, content: string, anchor = "start"): string {
  return `<text x="${round(x)}" y="${round(y)}" dy="0.35em" text-anchor="${anchor}" fill="${colorValue("ink")}">${escaped(content)}</text>`;
}

function cut(name: string): string {
  const letters = [...name];
  return letters.length <= mostLetters ? name : `${letters.slice(0, mostLetters - 13).join("")}…${letters.slice(-12).join("")}`;
}

/** A text with its markup escaped, and without characters that XML does not allow. */
function escaped(content: string): string {
  // eslint-disable-next-line no-control-regex
  return content.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
