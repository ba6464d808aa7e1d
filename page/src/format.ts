/** Numbers, times and values as texts. */

import { type ArmSummary, ArmStatus, ExperimentStatus, ScoreOrigin, type ScoreSource } from "podium-client/v1";

/** A number with about five significant digits. Its exact form is for titles. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  }
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) {
    return signed(value.toString());
  }
  return signed(size >= 1e-3 && size < 1e6 ? value.toFixed(size < 100 ? 4 : 2) : value.toExponential(3));
}

/** A count, with separators between the thousands. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString("en-US");
}

/** A count and its noun, such as `1 arm` or `2 arms`. */
export function counted(count: number | bigint, noun: string): string {
  return `${formatCount(count)} ${noun}${Number(count) === 1 ? "" : "s"}`;
}

/** The moment of a timestamp. */
export function dateOf(time: ArmSummary["createTime"]): Date | undefined {
  return time && new Date(Number(time.seconds) * 1000 + time.nanos / 1e6);
}

/** How long ago a moment was, such as `3 min ago`. */
export function formatAgo(date: Date, now = Date.now()): string {
  const seconds = Math.max(0, (now - date.getTime()) / 1000);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]] as const) {
    if (seconds >= size) {
      return `${Math.floor(seconds / size)} ${unit} ago`;
    }
  }
  return seconds < 10 ? "just now" : `${Math.floor(seconds)} s ago`;
}

/** A duration, such as `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) {
    return `${Number(seconds.toPrecision(3))} s`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The status of an arm as a word. */
export function statusName(status: ArmStatus): string {
  return ArmStatus[status]?.toLowerCase() ?? "unknown";
}

/** The status of an experiment as a word. */
export function experimentStatusName(status: ExperimentStatus): string {
  return ExperimentStatus[status]?.toLowerCase() ?? "unknown";
}

/** Where a score came from. */
export function sourceName(source: Partial<Pick<ScoreSource, "origin" | "evalName" | "step">>): string {
  const { origin, evalName, step } = source;
  switch (origin) {
    case ScoreOrigin.POST_TRAINING_EVAL:
      return `${evalName}, post-training`;
    case ScoreOrigin.IN_LOOP_EVAL:
      return `${evalName}, in-loop${step === undefined ? "" : ` at step ${formatCount(step)}`}`;
    case ScoreOrigin.GIVEN_EVAL_METRICS:
      return "eval metrics as recorded";
    default:
      return "training metrics";
  }
}

/** A minus sign that is as wide as a digit. */
function signed(text: string): string {
  return text.replace(/^-/, "−");
}
