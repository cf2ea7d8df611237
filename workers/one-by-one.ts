/** Many wait for one thing. When it is there, they go on one after the other, so that the first is not kept by the rest. */
import { setImmediate as nextTurn } from "node:timers/promises";

export interface OneByOne<T> {
  /** The result, or what it threw. The lower its rank, the earlier who waits goes on, each in a turn of the event loop. */
  wait(rank: number): Promise<T>;
}

export function oneByOne<T>(result: Promise<T>): OneByOne<T> {
  let waiting: { readonly rank: number; readonly goOn: () => void }[] | null = [];
  const release = async (): Promise<void> => {
    const all = (waiting ?? []).sort((a, b) => a.rank - b.rank);
    waiting = null;
    for (const { goOn } of all) {
      goOn();
      await nextTurn();
    }
  };
  result.then(release, release);
  return {
    wait: async (rank) => {
      await new Promise<void>((goOn) => {
        if (waiting === null) goOn();
        else waiting.push({ rank, goOn });
      });
      return await result;
    },
  };
}
