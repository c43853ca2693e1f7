/** A binary heap: the item that comes `before` all others is on top. Adding and taking cost the logarithm of its size. */
export interface Heap<T> {
  add(item: T): void;
  /** Takes the top off; `undefined` when it is empty. */
  take(): T | undefined;
  top(): T | undefined;
  clear(): void;
}

export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

  function swap(a: number, b: number): void {
    [items[a], items[b]] = [items[b]!, items[a]!];
  }

  return {
    add(item) {
      items.push(item);
      for (let index = items.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (!before(items[index]!, items[parent]!)) break;
        swap(index, parent);
        index = parent;
      }
    },
    take() {
      const top = items[0];
      const last = items.pop();
      if (items.length === 0 || last === undefined) return top;
      items[0] = last;
      for (let index = 0; ; ) {
        let first = index;
        for (const child of [2 * index + 1, 2 * index + 2]) {
          if (child < items.length && before(items[child]!, items[first]!)) first = child;
        }
        if (first === index) return top;
        swap(index, first);
        index = first;
      }
    },
    top: () => items[0],
    clear() {
      items.length = 0;
    },
  };
}
