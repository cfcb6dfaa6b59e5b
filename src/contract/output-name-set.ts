/**
 * A set of names that finds the second input with the same output name in little memory: 64-bit hashes in two typed
 * arrays, open addressing with linear probing, at most two thirds full, doubling. A million names take 24 MB, 36 MB while
 * the last doubling copies. Two different names of a million look equal with a chance of 3 in 100,000,000. The hash is
 * seeded, so that nobody can make names that collide on purpose.
 */

const START_SLOTS = 1 << 12;
const MAX_FILL = 2 / 3;

export class OutputNames {
  readonly #seed: number;
  #low = new Uint32Array(START_SLOTS);
  #high = new Uint32Array(START_SLOTS);
  /** Index of the input that holds the name, plus 1; 0 is an empty slot. */
  #owner = new Uint32Array(START_SLOTS);
  #size = 0;

  constructor(seed: number = Math.floor(Math.random() * 0x1_0000_0000)) {
    this.#seed = seed >>> 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of the arrays. */
  get memoryBytes(): number {
    return this.#owner.length * 12;
  }

  /** Gives the name to the input, or tells the index of the input that has it already. */
  claim(name: string, index: number): number | undefined {
    if ((this.#size + 1) / this.#owner.length > MAX_FILL) this.#grow();
    const [low, high] = this.#hash(name);
    const slot = this.#slotOf(low, high);
    const owner = this.#owner[slot] ?? 0;
    if (owner !== 0) return owner - 1;
    this.#put(slot, low, high, index + 1);
    this.#size += 1;
    return undefined;
  }

  /** The slot that holds this hash, or the empty one where it belongs. */
  #slotOf(low: number, high: number): number {
    const mask = this.#owner.length - 1;
    for (let slot = (low ^ Math.imul(high, 0x9e3779b1)) & mask; ; slot = (slot + 1) & mask) {
      if (this.#owner[slot] === 0) return slot;
      if (this.#low[slot] === low && this.#high[slot] === high) return slot;
    }
  }

  #put(slot: number, low: number, high: number, owner: number): void {
    this.#low[slot] = low;
    this.#high[slot] = high;
    this.#owner[slot] = owner;
  }

  #grow(): void {
    const [oldLow, oldHigh, oldOwner] = [this.#low, this.#high, this.#owner];
    const slots = oldOwner.length * 2;
    this.#low = new Uint32Array(slots);
    this.#high = new Uint32Array(slots);
    this.#owner = new Uint32Array(slots);
    for (let at = 0; at < oldOwner.length; at += 1) {
      const owner = oldOwner[at] ?? 0;
      if (owner === 0) continue;
      const low = oldLow[at] ?? 0;
      const high = oldHigh[at] ?? 0;
      this.#put(this.#slotOf(low, high), low, high, owner);
    }
  }

  /** Two lanes of multiply and xor over the UTF-16 units, each mixed at the end with the other. */
  #hash(name: string): readonly [number, number] {
    let a = 0xdeadbeef ^ this.#seed;
    let b = 0x41c6ce57 ^ Math.imul(this.#seed, 0x85ebca6b);
    for (let at = 0; at < name.length; at += 1) {
      const unit = name.charCodeAt(at);
      a = Math.imul(a ^ unit, 0x9e3779b1);
      b = Math.imul(b ^ unit, 0x5f356495);
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
    b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    return [a >>> 0, b >>> 0];
  }
}
