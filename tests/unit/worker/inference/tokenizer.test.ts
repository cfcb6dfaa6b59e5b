import { expect, test } from "vitest";
import { createTokenizer } from "../../../../src/worker/inference/tokenizer.ts";
import { wordTokenizer } from "../../../support/text-onnx.ts";

const idsOf = (vocab: object, text: string) =>
  createTokenizer(JSON.parse(wordTokenizer(vocab)) as object, {}).encode(text, {
    add_special_tokens: false,
    return_token_type_ids: true,
  }).ids;

test("a word that a vocabulary of words does not have is its unknown token", () => {
  expect(idsOf({ "[UNK]": 0, red: 1, blue: 2 }, "blue green red")).toEqual([2, 0, 1]);
});

test("a vocabulary of words without an unknown token says so of a word that it does not have", () => {
  expect(idsOf({ red: 1 }, "red red")).toEqual([1, 1]);
  expect(() => idsOf({ red: 1 }, "red green")).toThrow("no token for others (model.unk_token), found another word");
});
