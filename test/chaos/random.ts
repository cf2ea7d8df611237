/** Numbers that depend on a seed alone, so that a run can be had again. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** Both ends included. */
  int(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
}

/**
 * Deals the keys like cards, each as often as its weight says and at least once; when all are dealt they are shuffled
 * anew. What is rare by its weight comes in every run of some length, too. A key of weight 0 is not in the deck.
 */
export function deckOf<K extends string>(weights: Readonly<Record<K, number>>): (random: Random) => K {
  const entries = Object.entries(weights) as [K, number][];
  const cards = entries.flatMap(([key, weight]) =>
    weight === 0 ? [] : Array.from({ length: Math.max(1, Math.round(weight)) }, () => key),
  );
  let left: K[] = [];
  return (random) => {
    if (left.length === 0) left = shuffled(cards, random);
    const card = left.pop();
    if (card === undefined) throw new Error("no cards");
    return card;
  };
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const rest = [...list];
  const order: T[] = [];
  while (rest.length > 0) order.push(...rest.splice(random.int(0, rest.length - 1), 1));
  return order;
}

/** mulberry32: 32 bits of state, the same on every machine. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick: (list) => {
      const found = list[int(0, list.length - 1)];
      if (found === undefined) throw new Error("nothing to pick from");
      return found;
    },
    weighted: (weights) => {
      const entries = Object.entries(weights) as [keyof typeof weights, number][];
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [key, weight] of entries) {
        left -= weight;
        if (left < 0) return key;
      }
      throw new Error("no weights");
    },
  };
}
