/**
 * The JSON Schemas that generated answers may have: a subset in which every field is bounded, so that every answer ends.
 * A model could fill a number with digits for ever, or a text without a longest length: such schemas are refused.
 */
import { InvalidInputError, type Fault } from "./errors.ts";
import type { JsonSchema } from "./json-schema.ts";
import { field, showFound } from "./schema-faults.ts";

/** What an answer may be, as one writes it: properties in their order, no white space; optional ones may be left out. */
export type AnswerShape =
  | { readonly kind: "literals"; readonly texts: readonly string[] }
  | { readonly kind: "integer"; readonly minimum: number; readonly maximum: number }
  | { readonly kind: "text"; readonly minChars: number; readonly maxChars: number }
  | {
      readonly kind: "array";
      /** Of the first items, each its own; there are always as many. */
      readonly first?: readonly AnswerShape[];
      readonly item: AnswerShape;
      readonly minItems: number;
      readonly maxItems: number;
    }
  | { readonly kind: "object"; readonly properties: readonly AnswerProperty[] }
  | { readonly kind: "any"; readonly options: readonly AnswerShape[] };

export type AnswerProperty = readonly [name: string, shape: AnswerShape, isOptional?: true];

const MAX_TEXT_CHARS = 4_096;
const MAX_ITEMS = 256;
const MAX_DEPTH = 32;
/** Definitions may be used many times over by others that are used many times over. */
const MAX_SHAPES = 10_000;

/** They say something to a reader, and nothing about the answer. */
const annotations = ["$schema", "$id", "$comment", "$defs", "title", "description", "default", "examples"];

interface Place {
  readonly where: string;
  readonly depth: number;
  /** References that are being followed. */
  readonly open: readonly string[];
}

/** One reading of one schema: collects faults, so that all of them are told together. */
class Reader {
  readonly faults: Fault[] = [];
  readonly #root: JsonSchema;
  #shapes = 0;

  constructor(root: JsonSchema) {
    this.#root = root;
  }

  read(schema: unknown, place: Place): AnswerShape {
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
      return this.#fault(place.where, "a schema (an object)", schema);
    }
    if (place.depth > MAX_DEPTH) return this.#fault(place.where, `${MAX_DEPTH} levels at most`, place.depth);
    this.#shapes++;
    if (this.#shapes === MAX_SHAPES)
      this.#fault(place.where, `${MAX_SHAPES} fields at most, references followed`, "more");
    if (this.#shapes >= MAX_SHAPES) return { kind: "literals", texts: [] };
    if ("$ref" in schema) return this.#follow(schema, place);
    if ("enum" in schema) return this.#literals(schema, "enum", place);
    if ("const" in schema) return this.#literals(schema, "const", place);
    if ("anyOf" in schema) return this.#any(schema, place);
    return this.#byType(schema, place);
  }

  #byType(schema: object, place: Place): AnswerShape {
    const type = field(schema, "type");
    switch (type) {
      case "boolean":
        return this.#only(schema, [], place, { kind: "literals", texts: ["true", "false"] });
      case "null":
        return this.#only(schema, [], place, { kind: "literals", texts: ["null"] });
      case "integer":
        return this.#integer(schema, place);
      case "string":
        return this.#text(schema, place);
      case "array":
        return this.#array(schema, place);
      case "object":
        return this.#object(schema, place);
      case "number":
        return this.#fault(
          `${place.where}/type`,
          "integer with minimum and maximum, or enum: a number may have endless digits",
          type,
        );
      default:
        return this.#fault(
          `${place.where}/type`,
          "object, array, string, integer, boolean, null, or instead enum, const, anyOf or $ref",
          type,
        );
    }
  }

  #fault(where: string, expected: string, found: unknown): AnswerShape {
    this.faults.push({ where, expected, found: showFound(found, []) });
    return { kind: "literals", texts: [] };
  }

  /** Refuses the keywords that would be taken for a promise and are none. */
  #only(schema: object, known: readonly string[], { where }: Place, shape: AnswerShape): AnswerShape {
    for (const key of Object.keys(schema)) {
      if (key === "type" || known.includes(key) || annotations.includes(key)) continue;
      const words = ["type", ...known].join(", ");
      this.#fault(`${where}/${key}`, `only ${words} here`, field(schema, key));
    }
    return shape;
  }

  #follow(schema: object, place: Place): AnswerShape {
    const reference = field(schema, "$ref");
    const [, name] = /^#\/\$defs\/([^/]+)$/.exec(String(reference)) ?? [];
    const where = `${place.where}/$ref`;
    if (name === undefined) return this.#fault(where, "#/$defs/NAME", reference);
    if (place.open.includes(name)) {
      return this.#fault(
        where,
        "a definition that does not come back to itself: its answers would have no end",
        reference,
      );
    }
    const target = field(field(this.#root, "$defs"), name);
    if (target === undefined) return this.#fault(where, "the name of a definition in $defs", reference);
    const open = [...place.open, name];
    return this.#only(
      schema,
      ["$ref"],
      place,
      this.read(target, { where: `/$defs/${name}`, depth: place.depth + 1, open }),
    );
  }

  #literals(schema: object, keyword: "enum" | "const", place: Place): AnswerShape {
    const found = field(schema, keyword);
    const values: readonly unknown[] = keyword === "const" ? [found] : Array.isArray(found) ? found : [];
    if (values.length === 0) return this.#fault(`${place.where}/enum`, "a list of one value or more", found);
    const texts = [...new Set(values.map((value) => JSON.stringify(value)))];
    return this.#only(schema, [keyword], place, { kind: "literals", texts });
  }

  #any(schema: object, place: Place): AnswerShape {
    const found = field(schema, "anyOf");
    const where = `${place.where}/anyOf`;
    if (!Array.isArray(found) || found.length === 0) return this.#fault(where, "a list of one schema or more", found);
    const options = found.map((option: unknown, index) => this.#below(option, place, `anyOf/${index}`));
    return this.#only(schema, ["anyOf"], place, { kind: "any", options });
  }

  #integer(schema: object, place: Place): AnswerShape {
    const bound = (name: string) => {
      const value = field(schema, name);
      if (typeof value === "number" && Number.isSafeInteger(value)) return value;
      this.#fault(`${place.where}/${name}`, "a whole number: without it an integer may have endless digits", value);
      return 0;
    };
    const [minimum, maximum] = [bound("minimum"), bound("maximum")];
    if (minimum > maximum) this.#fault(`${place.where}/maximum`, `${minimum} at least, the minimum`, maximum);
    return this.#only(schema, ["minimum", "maximum"], place, { kind: "integer", minimum, maximum });
  }

  #text(schema: object, place: Place): AnswerShape {
    const [minChars, maxChars] = this.#lengths(schema, ["minLength", "maxLength"], MAX_TEXT_CHARS, place);
    return this.#only(schema, ["minLength", "maxLength"], place, { kind: "text", minChars, maxChars });
  }

  #array(schema: object, place: Place): AnswerShape {
    const [minItems, maxItems] = this.#lengths(schema, ["minItems", "maxItems"], MAX_ITEMS, place);
    const first = this.#firstItems(schema, minItems, place);
    const item = this.#below(field(schema, "items"), place, "items");
    const shape: AnswerShape = { kind: "array", ...(first !== undefined && { first }), item, minItems, maxItems };
    return this.#only(schema, ["prefixItems", "items", "minItems", "maxItems"], place, shape);
  }

  #firstItems(schema: object, minItems: number, place: Place): readonly AnswerShape[] | undefined {
    if (!("prefixItems" in schema)) return undefined;
    const found = field(schema, "prefixItems");
    const where = `${place.where}/prefixItems`;
    if (!Array.isArray(found) || found.length === 0) {
      this.#fault(where, "a list of one schema or more", found);
      return undefined;
    }
    if (minItems < found.length) {
      this.#fault(
        `${place.where}/minItems`,
        `${found.length} at least: so many items have a schema of their own`,
        minItems,
      );
    }
    return found.map((option: unknown, index) => this.#below(option, place, `prefixItems/${index}`));
  }

  #lengths(schema: object, [least, most]: readonly [string, string], limit: number, place: Place): [number, number] {
    const at = (name: string, fallback: number | undefined, expected: string) => {
      const value = field(schema, name) ?? fallback;
      if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= limit) return value;
      this.#fault(`${place.where}/${name}`, expected, value);
      return 0;
    };
    const maximum = at(most, undefined, `a whole number from 0 to ${limit}: without it an answer may have no end`);
    const minimum = at(least, 0, `a whole number from 0 to ${limit}`);
    if (minimum > maximum) this.#fault(`${place.where}/${most}`, `${minimum} at least, the ${least}`, maximum);
    return [minimum, maximum];
  }

  #object(schema: object, place: Place): AnswerShape {
    const known = ["properties", "required", "additionalProperties"];
    const found = field(schema, "properties");
    const at = `${place.where}/properties`;
    if (typeof found !== "object" || found === null) return this.#fault(at, "an object of schemas", found);
    const required = field(schema, "required");
    if (required !== undefined && !Array.isArray(required)) {
      this.#fault(`${place.where}/required`, "a list of names of properties", required);
    }
    const names = new Set(Array.isArray(required) ? required : []);
    for (const name of names) {
      if (!Object.hasOwn(found, String(name))) this.#fault(`${place.where}/required`, "names of properties only", name);
    }
    if (field(schema, "additionalProperties") !== false) {
      const value = field(schema, "additionalProperties");
      this.#fault(`${place.where}/additionalProperties`, "false: otherwise an answer may have no end", value);
    }
    const properties = Object.entries(found).map(([name, property]): AnswerProperty => {
      const shape = this.#below(property, place, `properties/${name}`);
      return names.has(name) ? [name, shape] : [name, shape, true];
    });
    return this.#only(schema, known, place, { kind: "object", properties });
  }

  #below(schema: unknown, place: Place, step: string): AnswerShape {
    return this.read(schema, { ...place, where: `${place.where}/${step}`, depth: place.depth + 1 });
  }
}

/** Reads a JSON Schema. @throws InvalidInputError naming every place where it is not bounded, or not understood */
export function parseAnswerSchema(schema: JsonSchema): AnswerShape {
  const reader = new Reader(schema);
  const shape = reader.read(schema, { where: "", depth: 0, open: [] });
  const faults = reader.faults.map((fault) => ({ ...fault, where: `schema ${fault.where}` }));
  if (faults.length > 0) throw new InvalidInputError("the schema of the answers", faults);
  return shape;
}
