/**
 * The decode loop: a batch of prompts in, one constrained answer for each out. Greedy: of the tokens that may follow, the
 * likeliest. Where only one may follow it is taken without asking the model, and goes in together with the next.
 */
import { END_STATE, type Constraint } from "./constraint.ts";
import { LeftPadding, RightPadding, type Padding } from "./padding.ts";
import {
  floatsOf,
  InvalidAnswerError,
  type GenerationSession,
  type GenerationTensor,
  type Tensors,
} from "./session.ts";

/** The shape of a decoder's cache, and the token that fills gaps. */
export interface DecoderShape {
  readonly layers: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly padToken: number;
}

export interface Decoding {
  readonly session: GenerationSession;
  readonly shape: DecoderShape;
  readonly constraint: Constraint;
  /** For each prompt what its answer is held to, where they differ, and how many tokens that may have. */
  readonly each?: readonly { readonly constraint: Constraint; readonly maxTokens: number }[];
  /** Off only to measure what it is worth. */
  readonly jumpsAhead?: boolean;
}

export interface DecodedAnswer {
  /** Without the end token. */
  readonly tokens: readonly number[];
  /** The logarithm of the answer's probability, each choice among the tokens that might have followed. */
  readonly logProbability: number;
  /** There, and true, where it was not whole after the tokens that it might have. */
  readonly isCut?: true;
}

export interface DecodedBatch {
  readonly answers: readonly DecodedAnswer[];
  /** How often the model was run. */
  readonly runs: number;
}

/** One row: what it still has to feed, and what it has written. */
class Row {
  readonly answer: number[] = [];
  logProbability = 0;
  pending: readonly number[];
  #state: number;
  #isCut = false;
  readonly #constraint: Constraint;
  readonly #maxTokens: number;
  readonly #jumpsAhead: boolean;

  constructor(prompt: readonly number[], row: number, { constraint, each, jumpsAhead = true }: Decoding) {
    const own = each?.[row];
    this.#constraint = own?.constraint ?? constraint;
    this.#maxTokens = own?.maxTokens ?? Infinity;
    this.#jumpsAhead = jumpsAhead;
    this.#state = this.#constraint.start;
    this.pending = [...prompt, ...this.#forced()];
  }

  get hasEnded(): boolean {
    return this.#isCut || this.#state === END_STATE;
  }

  get decoded(): DecodedAnswer {
    const { answer: tokens, logProbability } = this;
    return { tokens, logProbability, ...(this.#isCut && { isCut: true }) };
  }

  /** Takes up to so many tokens to feed. */
  take(most: number): readonly number[] {
    if (this.hasEnded) return [];
    const taken = this.pending.slice(0, most);
    this.pending = this.pending.slice(taken.length);
    return taken;
  }

  choose(logits: Float32Array): void {
    const { token, logProbability } = likeliest(logits, this.#constraint.allowed(this.#state));
    this.logProbability += logProbability;
    this.#write(token);
    this.pending = [token, ...this.#forced()];
  }

  /** Tokens that must follow, each the only one. */
  #forced(): number[] {
    const tokens: number[] = [];
    while (this.#jumpsAhead && !this.hasEnded) {
      const [only, other] = this.#constraint.allowed(this.#state);
      if (only === undefined || other !== undefined) break;
      this.#write(only);
      tokens.push(only);
    }
    return tokens;
  }

  #write(token: number): void {
    this.#state = this.#constraint.next(this.#state, token);
    if (this.hasEnded) return;
    if (this.answer.length < this.#maxTokens) this.answer.push(token);
    else this.#isCut = true;
  }
}

function likeliest(logits: Float32Array, allowed: Int32Array): { token: number; logProbability: number } {
  let token = allowed[0] ?? 0;
  let best = Number.NEGATIVE_INFINITY;
  for (const candidate of allowed) {
    const logit = logits[candidate] ?? Number.NEGATIVE_INFINITY;
    if (logit > best) [token, best] = [candidate, logit];
  }
  if (best === Number.NEGATIVE_INFINITY) {
    throw new InvalidAnswerError("model output logits: expected numbers, found none");
  }
  let sum = 0;
  for (const candidate of allowed) sum += Math.exp((logits[candidate] ?? Number.NEGATIVE_INFINITY) - best);
  return { token, logProbability: -Math.log(sum) };
}

/** The names of a cache on its way in and out, layer by layer. */
export function cacheNames(layers: number): readonly (readonly [past: string, present: string])[] {
  return Array.from({ length: layers }, (_, layer) =>
    ["key", "value"].map((part) => [`past_key_values.${layer}.${part}`, `present.${layer}.${part}`] as const),
  ).flat();
}

function emptyCache({ layers, keyValueHeads, headSize }: DecoderShape, rows: number): Tensors {
  const dims = [rows, keyValueHeads, 0, headSize];
  const empty = (): GenerationTensor => ({ type: "float32", data: new Float32Array(0), dims });
  return Object.fromEntries(cacheNames(layers).map(([past]) => [past, empty()]));
}

function grownCache(outputs: Tensors, layers: number): Tensors {
  return Object.fromEntries(
    cacheNames(layers).map(([past, present]) => {
      const tensor = outputs[present];
      if (tensor === undefined) throw new TypeError(`model output ${present}: expected the cache, found nothing`);
      return [past, tensor];
    }),
  );
}

/** Exports with `position_ids` are padded on the left, grouped-query ones, without, on the right. */
export function paddingOf(inputNames: readonly string[]): "left" | "right" {
  return inputNames.includes("position_ids") ? "left" : "right";
}

/** Decodes one batch; the constraint ends every row. */
export async function decodeBatch(prompts: readonly (readonly number[])[], decoding: Decoding): Promise<DecodedBatch> {
  const { session, shape } = decoding;
  const rows = prompts.map((prompt, row) => new Row(prompt, row, decoding));
  const isLeft = paddingOf(session.inputNames) === "left";
  const padding: Padding = new (isLeft ? LeftPadding : RightPadding)(rows.length, shape.padToken);
  let cache = emptyCache(shape, rows.length);
  let runs = 0;
  while (rows.some((row) => !row.hasEnded)) {
    const fresh = rows.map((row) => row.take(padding.maxNewTokens));
    const outputs = await session.run({ ...padding.feeds(fresh), ...cache });
    runs++;
    const logits = floatsOf(outputs, "logits");
    const [, positions = 1, width = 0] = outputs["logits"]?.dims ?? [];
    if (width !== shape.vocabularySize) {
      throw new TypeError(`model output logits: expected ${shape.vocabularySize} values (vocab_size), found ${width}`);
    }
    for (const [index, row] of rows.entries()) {
      if (row.hasEnded || row.pending.length > 0) continue;
      const at = (index * positions + padding.lastPosition(index, positions)) * shape.vocabularySize;
      row.choose(logits.subarray(at, at + shape.vocabularySize));
    }
    cache = grownCache(outputs, shape.layers);
  }
  return { answers: rows.map(({ decoded }) => decoded), runs };
}
