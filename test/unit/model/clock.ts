/** Virtual time: events in order, and between two of them everything that can run without waiting has run. */

interface Entry {
  readonly at: number;
  readonly n: number;
  readonly run: () => void;
}

export class Clock {
  now = 0;
  #n = 0;
  readonly #heap: Entry[] = [];

  in(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  at(time: number, run: () => void): void {
    const heap = this.#heap;
    let at = heap.push({ at: Math.max(time, this.now), n: ++this.#n, run }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap, at, parent)) break;
      swap(heap, at, parent);
      at = parent;
    }
  }

  /** Lets time pass until `end`, or until nothing is left to happen. */
  async run(end: number): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      this.now = next.at;
      next.run();
      await everythingThatCanRun();
    }
    this.now = end;
    // What the test runner itself has to do comes in between two runs.
    await new Promise((resolve) => setImmediate(resolve));
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < heap.length && before(heap, left, least)) least = left;
      if (right < heap.length && before(heap, right, least)) least = right;
      if (least === at) return;
      swap(heap, at, least);
      at = least;
    }
  }
}

/**
 * Node looks at its ticks only when no microtask is left, however many of them make more: a tick that is asked for in
 * one comes after all of them. A turn of the event loop would say the same and cost ten times as much.
 */
const everythingThatCanRun = async (): Promise<void> =>
  await new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));

function before(heap: readonly Entry[], a: number, b: number): boolean {
  const [x, y] = [heap[a], heap[b]];
  if (x === undefined || y === undefined) return false;
  return x.at < y.at || (x.at === y.at && x.n < y.n);
}

function swap(heap: Entry[], a: number, b: number): void {
  const [x, y] = [heap[a], heap[b]];
  if (x === undefined || y === undefined) return;
  heap[a] = y;
  heap[b] = x;
}

/** In [0, 1), the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A process that may die, or freeze and go on later as if nothing had been. Whatever it waits for, it waits
 * for here; what it asked of others goes on without it.
 */
export class Process {
  readonly clock: Clock;
  readonly name: string;
  readonly #onStep: (process: Process) => void;
  alive = true;
  frozenUntil = 0;
  /** Its next request was already on its way when it froze: no check of its own can keep it back. */
  zombie = false;

  constructor(clock: Clock, name: string, onStep: (process: Process) => void) {
    this.clock = clock;
    this.name = name;
    this.#onStep = onStep;
  }

  async pause(ms: number): Promise<void> {
    this.#onStep(this);
    await new Promise<void>((resolve) => this.clock.in(ms, () => this.#wake(resolve)));
  }

  /** Waits until somebody calls what it hands to `register`. */
  async idle(register: (wake: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => register(() => this.#wake(resolve)));
  }

  /** A dead process never wakes, a frozen one later. */
  #wake(resolve: () => void): void {
    if (!this.alive) return;
    if (this.clock.now < this.frozenUntil) this.clock.at(this.frozenUntil, () => this.#wake(resolve));
    else resolve();
  }
}
