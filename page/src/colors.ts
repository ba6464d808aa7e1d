/** The colour of an arm: the same in every view and session, since it comes from the name. */

const colorCount = 8;
const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/** The index of the colour of a name, from 0 to 7. */
export function colorIndex(name: string): number {
  let hash = 2166136261;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 16777619);
  }
  // The last bits alone change little from `seed0` to `seed1`.
  hash ^= hash >>> 15;
  return (Math.imul(hash, 2246822507) >>> 13) % colorCount;
}

/** The dashes of each line. Lines that share a colour differ in their dashes. */
export function dashesOf(names: readonly string[]): number[][] {
  const used = new Map<number, number>();
  return names.map((name) => {
    const index = colorIndex(name);
    const before = used.get(index) ?? 0;
    used.set(index, before + 1);
    return dashes[before % dashes.length]!;
  });
}

/** The colour with an index, in the theme of the page. */
export function colorValue(index: number): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--c${index}`).trim();
}
