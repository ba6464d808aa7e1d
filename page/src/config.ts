/** The run_config of an arm by path, and how the arms of an experiment differ. */

import { fromValue } from "podium-client/values";
import type { RunConfig, Value } from "podium-client/v1";

/** The values of a run_config as texts, by their paths. */
export function flatConfig(config: RunConfig | undefined): Map<string, string> {
  const flat = new Map<string, string>();
  if (config === undefined) {
    return flat;
  }
  const { data, model, algorithm, backend } = config;
  put(flat, "seed", config.seed);
  put(flat, "model.name", model?.name || undefined);
  put(flat, "model.load_checkpoint_path", model?.loadCheckpointPath);
  put(flat, "model.init_from_checkpoint", model?.initFromCheckpoint);
  put(flat, "model.renderer_name", model?.rendererName);
  for (const [name, part] of [["algorithm", algorithm], ["backend", backend]] as const) {
    put(flat, `${name}.kind`, part?.kind || undefined);
    putAll(flat, `${name}.params`, part?.params);
  }
  put(flat, "data.source_kind", data?.sourceKind || undefined);
  put(flat, "data.dataset_id", data?.datasetId);
  put(flat, "data.dataset_name", data?.datasetName);
  put(flat, "data.path", data?.path);
  put(flat, "data.hf_dataset", data?.hfDataset);
  put(flat, "data.hf_split", data?.hfSplit);
  putList(flat, "data.rows", data?.rows);
  putList(flat, "data.transforms", data?.transforms);
  putAll(flat, "eval", config.eval);
  putAll(flat, "validation", config.validation);
  put(flat, "tags", config.tags.length > 0 ? config.tags.join(", ") : undefined);
  putAll(flat, "extras", config.extras);
  return flat;
}

/** For each path and value, the number of configs that have the value at the path. */
export function valuesByPath(configs: Iterable<Map<string, string>>): Map<string, Map<string, number>> {
  const found = new Map<string, Map<string, number>>();
  for (const config of configs) {
    for (const [path, value] of config) {
      const values = found.get(path) ?? new Map<string, number>();
      found.set(path, values.set(value, (values.get(value) ?? 0) + 1));
    }
  }
  return found;
}

/** The paths whose values differ between arms, in the order of the config. */
export function varyingPaths(found: Map<string, Map<string, number>>, arms: number): string[] {
  const isVarying = (values: Map<string, number>): boolean => {
    const [first] = values.values();
    return values.size > 1 || first !== arms;
  };
  return [...found].filter(([, values]) => isVarying(values)).map(([path]) => path);
}

/** A path without the prefix `algorithm.params.` or `backend.params.`, for the head of a column. */
export function shortPath(path: string): string {
  return path.replace(/^(?:algorithm|backend)\.params\./, "");
}

/** A value as a text: a text as it is, other values as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === "string") {
    return value;
  }
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === "bigint" || (typeof each === "number" && !Number.isFinite(each)) ? String(each) : each,
  ).replace(/^"(.*)"$/, "$1");
}

function put(flat: Map<string, string>, path: string, value: unknown): void {
  if (value !== undefined) {
    flat.set(path, valueText(value));
  }
}

function putAll(flat: Map<string, string>, path: string, values: Record<string, Value> | undefined): void {
  for (const key of Object.keys(values ?? {}).sort()) {
    putValue(flat, `${path}.${key}`, fromValue(values![key]!));
  }
}

/** Puts each value of a map under its own path. A list is one value. */
function putValue(flat: Map<string, string>, path: string, value: unknown): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
    for (const [key, each] of Object.entries(value)) {
      putValue(flat, `${path}.${key}`, each);
    }
  } else {
    put(flat, path, value);
  }
}

function putList(flat: Map<string, string>, path: string, values: Value[] | undefined): void {
  if (values !== undefined && values.length > 0) {
    put(flat, path, values.map(fromValue));
  }
}
