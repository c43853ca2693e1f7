import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createHeap } from './heap.ts';

it('gives items back in order, whatever is added and taken between', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer(), fc.constant('take' as const))), (steps) => {
      const heap = createHeap<number>((a, b) => a < b);
      const model: number[] = [];
      for (const step of steps) {
        if (step === 'take') expect(heap.take()).toBe(model.shift());
        else {
          heap.add(step);
          model.push(step);
          model.sort((a, b) => a - b);
        }
        expect(heap.top()).toBe(model[0]);
      }
      while (model.length > 0) expect(heap.take()).toBe(model.shift());
      expect(heap.take()).toBeUndefined();
    }),
  );
});
