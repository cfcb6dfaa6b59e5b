/**
 * Listed answers as a trie of tokens: each answer as the tokenizer writes it, then the end token. Where only one token may
 * follow, the model need not be asked, so an answer costs one run of the model per real choice.
 */
import { END_STATE, type Constraint } from "./constraint.ts";

interface Node {
  readonly children: Map<number, number>;
  allowed: Int32Array;
}

/** The trie as dense tables, for a graph that walks it by itself. */
export interface TrieTables {
  readonly states: number;
  readonly width: number;
  readonly childToken: readonly number[];
  readonly childState: readonly number[];
  readonly childBias: readonly number[];
  readonly endState: number;
}

const NEVER = -1e9;

export class TokenTrie implements Constraint {
  readonly start = 0;
  readonly #nodes: Node[] = [{ children: new Map(), allowed: new Int32Array(0) }];
  readonly #endToken: number;

  constructor(answers: readonly (readonly number[])[], endToken: number) {
    this.#endToken = endToken;
    for (const answer of answers) this.#add([...answer, endToken]);
    for (const node of this.#nodes) node.allowed = Int32Array.from(node.children.keys());
  }

  allowed(state: number): Int32Array {
    return this.#node(state).allowed;
  }

  next(state: number, token: number): number {
    const next = this.#node(state).children.get(token);
    if (next === undefined) throw new RangeError(`token ${token}: expected one that may follow in state ${state}`);
    return next;
  }

  /** One more state, in which rows that have ended stay. */
  tables(): TrieTables {
    const endState = this.#nodes.length;
    const states = endState + 1;
    const width = Math.max(1, ...this.#nodes.map(({ children }) => children.size));
    const childToken = new Array<number>(states * width).fill(this.#endToken);
    const childState = new Array<number>(states * width).fill(endState);
    const childBias = new Array<number>(states * width).fill(NEVER);
    childBias[endState * width] = 0;
    for (const [state, { children }] of this.#nodes.entries()) {
      for (const [index, [token, next]] of [...children].entries()) {
        const at = state * width + index;
        childToken[at] = token;
        childState[at] = next === END_STATE ? endState : next;
        childBias[at] = 0;
      }
    }
    return { states, width, childToken, childState, childBias, endState };
  }

  #add(tokens: readonly number[]): void {
    let state = this.start;
    for (const token of tokens) {
      const { children } = this.#node(state);
      let next = children.get(token);
      if (next === undefined) {
        next =
          token === this.#endToken
            ? END_STATE
            : this.#nodes.push({ children: new Map(), allowed: new Int32Array(0) }) - 1;
        children.set(token, next);
      }
      state = next;
    }
  }

  #node(state: number): Node {
    const node = this.#nodes[state];
    if (node === undefined) throw new RangeError(`expected a state of the trie, found ${state}`);
    return node;
  }
}
