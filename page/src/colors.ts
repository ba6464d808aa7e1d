/** The colours of arms and groups: the same in every view and session. */

import type { ArmSummary } from "podium-client/v1";

import type { Live } from "./live";

const colorCount = 8;
const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/** One of eight colours, and dashes that distinguish arms or groups of the same colour. */
export interface Style {
  readonly color: number;
  readonly dash: number[];
}

/** The position of each arm and each group in the order of creation. */
interface Order {
  readonly arms: Map<string, number>;
  readonly groups: Map<string, number>;
}

const orders = new WeakMap<ReadonlyMap<string, ArmSummary>, Order>();

/**
 * The style of an arm or a group. It comes from the order of creation, so that the first eight
 * differ. In an experiment with too many arms to know the order, it comes from the name.
 */
export function styleOf(live: Live, name: string, isGroup: boolean): Style {
  const { arms, groups } = live.hasAllArms ? orderOf(live.arms) : { arms: undefined, groups: undefined };
  const index = (isGroup ? groups : arms)?.get(name) ?? hash(name);
  return { color: index % colorCount, dash: dashes[Math.floor(index / colorCount) % dashes.length]! };
}

function orderOf(arms: Live["arms"]): Order {
  let order = orders.get(arms);
  if (order === undefined) {
    order = { arms: new Map(), groups: new Map() };
    for (const { name, groupName } of [...arms.values()].sort((one, other) => created(one) - created(other))) {
      order.arms.set(name, order.arms.size);
      if (groupName !== undefined && !order.groups.has(groupName)) {
        order.groups.set(groupName, order.groups.size);
      }
    }
    orders.set(arms, order);
  }
  return order;
}

function created({ createTime }: ArmSummary): number {
  return Number(createTime?.seconds ?? 0n) * 1000 + (createTime?.nanos ?? 0) / 1e6;
}

function hash(name: string): number {
  let found = 2166136261;
  for (let index = 0; index < name.length; index++) {
    found = Math.imul(found ^ name.charCodeAt(index), 16777619);
  }
  // Mixes all bits, since the last bits of the names `seed0` and `seed1` differ little.
  return Math.imul(found ^ (found >>> 15), 2246822507) >>> 13;
}

/** The value of a named colour of the page, such as `c0` or `ink`, in the current theme. */
export function colorValue(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
