/** Which tokens may follow in a grammar over bytes: found once for each state that is met, then looked up by all rows. */
import { DEAD, type AnswerGrammar } from "./answer-grammar.ts";
import { END_STATE, type Constraint } from "./constraint.ts";

interface TrieNode {
  readonly children: Map<number, TrieNode>;
  readonly tokens: number[];
}

export interface Vocabulary {
  /** The bytes of each token by its number; nothing for special tokens, which no answer holds. */
  readonly tokenBytes: readonly (Uint8Array | undefined)[];
  readonly endToken: number;
}

/** One for each vocabulary, whatever the schemas: it is large. */
const tries = new WeakMap<Vocabulary["tokenBytes"], TrieNode>();

function trieOf(tokenBytes: Vocabulary["tokenBytes"]): TrieNode {
  const known = tries.get(tokenBytes) ?? makeTrie(tokenBytes);
  tries.set(tokenBytes, known);
  return known;
}

function makeTrie(tokenBytes: Vocabulary["tokenBytes"]): TrieNode {
  const root: TrieNode = { children: new Map(), tokens: [] };
  for (const [token, bytes] of tokenBytes.entries()) {
    if (bytes === undefined || bytes.length === 0) continue;
    let node = root;
    for (const byte of bytes) {
      const child = node.children.get(byte) ?? { children: new Map(), tokens: [] };
      node.children.set(byte, child);
      node = child;
    }
    node.tokens.push(token);
  }
  return root;
}

export class GrammarConstraint implements Constraint {
  readonly start: number;
  readonly #grammar: AnswerGrammar;
  readonly #vocabulary: Vocabulary;
  readonly #trie: TrieNode;
  readonly #allowed = new Map<number, Int32Array>();
  /** Most states inside a long text allow the same tokens: each list is kept once. */
  readonly #lists = new Map<number, Int32Array[]>();

  constructor(grammar: AnswerGrammar, vocabulary: Vocabulary) {
    this.#grammar = grammar;
    this.#vocabulary = vocabulary;
    this.#trie = trieOf(vocabulary.tokenBytes);
    this.start = grammar.start;
  }

  allowed(state: number): Int32Array {
    const known = this.#allowed.get(state);
    if (known !== undefined) return known;
    const found = this.#shared(this.#find(state));
    this.#allowed.set(state, found);
    return found;
  }

  next(state: number, token: number): number {
    if (token === this.#vocabulary.endToken) return END_STATE;
    let next = state;
    for (const byte of this.#vocabulary.tokenBytes[token] ?? []) next = this.#grammar.step(next, byte);
    if (next === DEAD) throw new RangeError(`token ${token}: expected one that may follow in state ${state}`);
    return next;
  }

  #find(state: number): Int32Array {
    const tokens: number[] = this.#grammar.isWhole(state) ? [this.#vocabulary.endToken] : [];
    const open: [TrieNode, number][] = [[this.#trie, state]];
    for (let top = open.pop(); top !== undefined; top = open.pop()) {
      const [node, at] = top;
      for (const token of node.tokens) tokens.push(token);
      for (const [byte, child] of node.children) {
        const next = this.#grammar.step(at, byte);
        if (next !== DEAD) open.push([child, next]);
      }
    }
    if (tokens.length === 0) {
      throw new RangeError(
        "the vocabulary has no token with which the answer could go on: expected one for every byte",
      );
    }
    return Int32Array.from(tokens).sort();
  }

  #shared(list: Int32Array): Int32Array {
    const hash = list.reduce((value, token) => (Math.imul(value, 31) + token) | 0, list.length);
    const alike = this.#lists.get(hash) ?? [];
    const same = alike.find(
      (other) => other.length === list.length && other.every((token, index) => token === list[index]),
    );
    if (same !== undefined) return same;
    this.#lists.set(hash, [...alike, list]);
    return list;
  }
}
