/** What the committed classifier is made of: the numbers that give its very bytes. */
import { makeDocuments } from "../documents/documents.ts";
import { bytesOf, isHeldOut, loadCorpus, type Sample } from "./corpus.ts";
import { fileKinds, type FileKind } from "./kinds.ts";
import { trainClassifier, type Classifier, type Example } from "./train.ts";
import { trigramsOf } from "./trigrams.ts";

export interface Recipe {
  readonly documents: number;
  readonly documentSeed: number;
  readonly epochs: number;
  readonly seed: number;
}

export const recipe: Recipe = { documents: 5_200, documentSeed: 3, epochs: 10, seed: 5 };

function exampleOf(kind: FileKind, bytes: Uint8Array): Example {
  return { label: fileKinds.indexOf(kind), trigrams: trigramsOf(bytes) };
}

/** Trains on the learned part of the real files and on synthetic documents. */
export function trainByRecipe({ documents, documentSeed, epochs, seed }: Recipe): Classifier {
  const real = loadCorpus()
    .filter(({ group }) => !isHeldOut(group))
    .map((sample) => exampleOf(sample.kind, bytesOf(sample)));
  const made = makeDocuments(documents, documentSeed).map(({ kind, text }) => exampleOf(kind, Buffer.from(text)));
  return trainClassifier([...real, ...made], { labels: fileKinds.length, epochs, seed });
}

/** The real files that no training sees. */
export function heldOutSamples(): Sample[] {
  return loadCorpus().filter(({ group }) => isHeldOut(group));
}
