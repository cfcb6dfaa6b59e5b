import { describe, expect, test } from "vitest";
import { END_STATE } from "../../../../../src/worker/inference/generation/constraint.ts";
import { TokenTrie } from "../../../../../src/worker/inference/generation/token-trie.ts";

const END = 9;
const trie = new TokenTrie(
  [
    [1, 2, 3],
    [1, 2, 4, 5],
    [1, 2],
  ],
  END,
);

describe("trie of answers", () => {
  test("only tokens of an answer may follow, and the end token where an answer is whole", () => {
    const afterOne = trie.next(trie.start, 1);
    const afterTwo = trie.next(afterOne, 2);
    expect([...trie.allowed(trie.start)]).toEqual([1]);
    expect([...trie.allowed(afterOne)]).toEqual([2]);
    expect([...trie.allowed(afterTwo)].toSorted()).toEqual([3, 4, END]);
    expect(trie.next(afterTwo, END)).toBe(END_STATE);
    expect(trie.next(trie.next(afterTwo, 3), END)).toBe(END_STATE);
  });

  test("a token that may not follow is an error", () => {
    expect(() => trie.next(trie.start, 2)).toThrow("token 2: expected one that may follow in state 0");
  });

  test("its tables hold every way through it, and end in a state that leads to itself", () => {
    const { states, width, childToken, childState, childBias, endState } = trie.tables();
    const childrenOf = (state: number) =>
      Array.from({ length: width }, (_, index) => state * width + index)
        .filter((at) => childBias[at] === 0)
        .map((at) => [childToken[at] ?? -1, childState[at] ?? -1] as const);
    const answers: number[][] = [];
    const walk = (state: number, written: number[]) => {
      if (state === endState) answers.push(written);
      else for (const [token, next] of childrenOf(state)) walk(next, [...written, token]);
    };
    walk(0, []);
    expect(answers.toSorted()).toEqual(
      [
        [1, 2, END],
        [1, 2, 3, END],
        [1, 2, 4, 5, END],
      ].toSorted(),
    );
    expect(states).toBe(endState + 1);
    expect(childrenOf(endState)).toEqual([[END, endState]]);
  });
});
