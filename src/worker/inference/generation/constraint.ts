/** What may be written next: one interface over a trie of listed answers and over a grammar. */

/** The state of an answer that is whole. */
export const END_STATE = -1;

export interface Constraint {
  /** The state before the first token. */
  readonly start: number;
  /** Tokens that may follow in a state, the end-of-answer token among them where the answer may end; never empty. */
  allowed(state: number): Int32Array;
  /** The state after one of the allowed tokens. */
  next(state: number, token: number): number;
}
