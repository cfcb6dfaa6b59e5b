/** The kinds of content that the classifier tells apart, in the order of its outputs. */
import { documentKinds } from "../documents/documents.ts";

export const fileKinds = [...documentKinds, "typescript"] as const;
export type FileKind = (typeof fileKinds)[number];

/** Bytes at the head of a file that the classifier sees. */
export const WINDOW_BYTES = 1_024;
