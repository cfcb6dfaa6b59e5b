/** Trains the classifier: an embedding for each trigram bucket, their mean, one dense layer, softmax; by plain SGD. */
import { seeded } from "../../../tests/support/seeded.ts";
import { BUCKETS } from "./trigrams.ts";

export const EMBEDDING_SIZE = 32;

export interface Example {
  readonly label: number;
  readonly trigrams: Int32Array;
}

export interface Classifier {
  readonly labels: number;
  /** [BUCKETS, EMBEDDING_SIZE] */
  readonly embedding: Float32Array;
  /** [EMBEDDING_SIZE, labels] */
  readonly dense: Float32Array;
  readonly bias: Float32Array;
}

export interface Training {
  readonly labels: number;
  readonly epochs: number;
  readonly seed: number;
}

const LEARNING_RATE = 0.6;
/** The mean over trigrams thins the gradient of each by their number; this gives some of it back. */
const EMBEDDING_GAIN = 10;
const BIAS_GAIN = 0.1;

function createClassifier(labels: number, random: () => number): Classifier {
  const normal = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  return {
    labels,
    embedding: Float32Array.from({ length: BUCKETS * EMBEDDING_SIZE }, () => normal() * 0.1),
    dense: Float32Array.from({ length: EMBEDDING_SIZE * labels }, () => normal() * 0.3),
    bias: new Float32Array(labels),
  };
}

/** The mean of the embeddings of an example. */
function meanOf({ embedding }: Classifier, trigrams: Int32Array): Float32Array {
  const mean = new Float32Array(EMBEDDING_SIZE);
  for (const bucket of trigrams) {
    const from = bucket * EMBEDDING_SIZE;
    for (let at = 0; at < EMBEDDING_SIZE; at++) mean[at] = (mean[at] ?? 0) + (embedding[from + at] ?? 0);
  }
  return mean.map((sum) => sum / trigrams.length);
}

function sharesOf({ labels, dense, bias }: Classifier, mean: Float32Array): Float32Array {
  const logits = bias.slice();
  for (let at = 0; at < EMBEDDING_SIZE; at++) {
    const weight = mean[at] ?? 0;
    for (let label = 0; label < labels; label++) {
      logits[label] = (logits[label] ?? 0) + weight * (dense[at * labels + label] ?? 0);
    }
  }
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Moves the dense layer; answers with the gradient of the mean. */
function learnDense(
  { labels, dense }: Classifier,
  errors: Float32Array,
  mean: Float32Array,
  rate: number,
): Float32Array {
  const pull = new Float32Array(EMBEDDING_SIZE);
  for (let at = 0; at < EMBEDDING_SIZE; at++) {
    for (let other = 0; other < labels; other++) {
      const index = at * labels + other;
      const error = errors[other] ?? 0;
      const weight = dense[index] ?? 0;
      pull[at] = (pull[at] ?? 0) + error * weight;
      dense[index] = weight - rate * error * (mean[at] ?? 0);
    }
  }
  return pull;
}

/** One step down the gradient of the cross entropy of one example. */
function learn(model: Classifier, { label, trigrams }: Example, rate: number): void {
  const { bias, embedding } = model;
  const mean = meanOf(model, trigrams);
  const errors = sharesOf(model, mean);
  errors[label] = (errors[label] ?? 0) - 1;
  const pull = learnDense(model, errors, mean, rate);
  for (const [other, error] of errors.entries()) bias[other] = (bias[other] ?? 0) - rate * BIAS_GAIN * error;
  const step = (rate * EMBEDDING_GAIN) / trigrams.length;
  for (const bucket of trigrams) {
    const from = bucket * EMBEDDING_SIZE;
    for (let at = 0; at < EMBEDDING_SIZE; at++) {
      embedding[from + at] = (embedding[from + at] ?? 0) - step * (pull[at] ?? 0);
    }
  }
}

/** The same examples, epochs and seed give the same weights, to the last bit. */
export function trainClassifier(examples: readonly Example[], { labels, epochs, seed }: Training): Classifier {
  const random = seeded(seed);
  const model = createClassifier(labels, random);
  const order = [...examples];
  const steps = epochs * examples.length;
  for (let step = 0; step < steps; step++) {
    const at = step % order.length;
    if (at === 0) shuffle(order, random);
    const example = order[at];
    if (example !== undefined) learn(model, example, LEARNING_RATE * (1 - step / steps));
  }
  return model;
}

function shuffle(items: Example[], random: () => number): void {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const [one, two] = [items[last], items[other]];
    if (one !== undefined && two !== undefined) [items[last], items[other]] = [two, one];
  }
}

/** The label that a trained model gives. */
export function classify(model: Classifier, trigrams: Int32Array): number {
  const shares = sharesOf(model, meanOf(model, trigrams));
  return shares.indexOf(Math.max(...shares));
}
