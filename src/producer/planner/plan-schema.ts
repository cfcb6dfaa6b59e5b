/**
 * The JSON Schema of flows made narrow, pure: every field has an end, what the operator lists is a list here, and nothing
 * is in it that a plan may not say. For models whose answers are held to a schema while they write. It is derived from the
 * schema of flows: what is new there is here too as far as it has an end, and left out where it has none.
 */
import type { JsonSchema } from "../../contract/json-schema.ts";
import type { ModelSettings } from "../../contract/planners.ts";
import { flowSchema } from "./flow-schema.ts";
import type { PlanOffer } from "./planner.ts";

/** How much a plan may hold. */
export type PlanSizes = ModelSettings["plan"];

/** Nothing can be written for it, so it is left out. */
const NONE = undefined;
type Bounded = JsonSchema | typeof NONE;

/**
 * Fields that plans go without: what is the operator's business or has a default that does, and what only people read.
 * A plan names no other flow files.
 */
const leftOut: ReadonlySet<string> = new Set([
  ...["description", "resources", "retry", "priority", "sandbox", "labels", "max_items", "fail_fast", "include"],
  ...["file", "exclude", "max_tokens", "max_cost_usd", "max_repeats", "stuck_seconds", "timeout_seconds"],
]);
/** The only names of outputs; a pattern cannot be held to. */
const fileNames = ["output", "output.txt", "output.json", "output.csv"];
const WHY_CHARS = 200;

/** A plan within what is offered, or `{"impossible": "why"}`. */
export function planSchema(offer: PlanOffer, sizes: PlanSizes): JsonSchema {
  return new Narrowing(offer, sizes).whole();
}

class Narrowing {
  readonly #source = flowSchema();
  readonly #offer: PlanOffer;
  readonly #sizes: PlanSizes;
  readonly #nodes: number;
  /** Definitions of the source that are being followed: one that comes back to itself has no end. */
  readonly #open = new Set<string>();

  constructor(offer: PlanOffer, sizes: PlanSizes) {
    this.#offer = offer;
    this.#sizes = sizes;
    this.#nodes = Math.min(sizes.nodes, offer.limits.nodes ?? sizes.nodes);
  }

  whole(): JsonSchema {
    const flow = this.#bounded(this.#source);
    if (flow === NONE) throw new TypeError("expected a schema of flows that can be bounded");
    const impossible = { type: "string", minLength: 1, maxLength: WHY_CHARS };
    const declined = { properties: { impossible }, required: ["impossible"], additionalProperties: false };
    const command = this.#isOffered("exec") ? { command: this.#command() } : {};
    const $defs = { id: this.#ids(), text: this.#text(), ...command };
    return { anyOf: [flow, { type: "object", ...declined }], $defs };
  }

  #bounded(schema: JsonSchema): Bounded {
    const { $ref: reference, ...own } = schema;
    if (typeof reference === "string") return this.#followed(reference, own);
    if ("const" in schema) return { const: schema["const"] };
    if ("enum" in schema) return { enum: schema["enum"] };
    const options = schema.anyOf ?? schema.oneOf;
    if (options !== undefined) return anyOf(options.map((option) => this.#bounded(option)));
    return this.#byType(schema);
  }

  #byType(schema: JsonSchema): Bounded {
    const { type } = schema;
    switch (String(type)) {
      case "boolean":
      case "null":
        return { type: String(type) };
      case "integer":
      case "number":
        return integer(schema);
      case "string":
        return this.#string(schema);
      case "array":
        return this.#array(schema);
      case "object":
        return this.#object(schema);
      default:
        return NONE;
    }
  }

  #followed(reference: string, own: JsonSchema): Bounded {
    const name = reference.slice("#/$defs/".length);
    const target = (this.#source["$defs"] as Record<string, JsonSchema>)[name];
    if (target === undefined || this.#open.has(name)) return NONE;
    this.#open.add(name);
    const bounded = this.#bounded({ ...target, ...own });
    this.#open.delete(name);
    return bounded;
  }

  #string({ pattern, minLength = 0, maxLength = Infinity }: JsonSchema): Bounded {
    if (pattern !== undefined) return NONE;
    const [least, most] = [Number(minLength), Math.min(Number(maxLength), this.#sizes.chars)];
    if (least === 0 && most === this.#sizes.chars) return { $ref: "#/$defs/text" };
    return { type: "string", minLength: least, maxLength: most };
  }

  #array({ items, minItems = 0, maxItems = Infinity }: JsonSchema): Bounded {
    const bounded = items === undefined ? NONE : this.#bounded(items);
    if (bounded === NONE) return NONE;
    const most = Math.min(Number(maxItems), this.#sizes.words);
    return { type: "array", items: bounded, minItems: Number(minItems), maxItems: most };
  }

  /** With what must be there first: which kind a node is of is said before what only nodes of that kind have. */
  #object({ properties, required = [] }: JsonSchema): Bounded {
    if (properties === undefined || !this.#isOffered(properties["kind"]?.["const"])) return NONE;
    const needed = new Set(required as readonly string[]);
    const names = Object.keys(properties).toSorted((a, b) => Number(needed.has(b)) - Number(needed.has(a)));
    const bounded: Record<string, JsonSchema> = {};
    for (const name of names) {
      const property = this.#property(name, properties[name] ?? {});
      if (property !== NONE) bounded[name] = property;
      else if (needed.has(name)) return NONE;
    }
    return { type: "object", properties: bounded, required: [...needed], additionalProperties: false };
  }

  #property(name: string, schema: JsonSchema): Bounded {
    if (leftOut.has(name)) return NONE;
    const { profiles, agents, tools, network } = this.#offer;
    const names = new Map([
      ["profile", profiles],
      ["program", agents],
    ]).get(name);
    if (names !== undefined) return oneOf(names);
    switch (name) {
      case "id":
      case "node":
        return { $ref: "#/$defs/id" };
      case "command":
        return { $ref: "#/$defs/command" };
      case "tools":
        return tools === "any" ? this.#bounded(schema) : listOf(tools);
      case "network":
        return network ? this.#bounded(schema) : NONE;
      case "nodes":
        return { ...this.#bounded(schema), maxItems: this.#nodes };
      case "output":
        return withFileName(this.#bounded(schema));
      default:
        return this.#bounded(schema);
    }
  }

  /** Kinds of nodes for which nothing is offered. */
  #isOffered(kind: unknown): boolean {
    const { binaries, models, agents } = this.#offer;
    if (kind === "exec" || kind === "files") return binaries.length > 0;
    // Folders of models are offered, so that one is named as a text.
    if (kind === "infer") return models.length > 0;
    return kind !== "agent" || agents.length > 0;
  }

  /** Few, so that edges name nodes that may be there. */
  #ids(): JsonSchema {
    return { enum: Array.from({ length: this.#nodes }, (_, index) => `step${index + 1}`) };
  }

  #text(): JsonSchema {
    return { type: "string", maxLength: this.#sizes.chars };
  }

  #command(): JsonSchema {
    const { binaries } = this.#offer;
    const binary = binaries === "any" ? { ...this.#text(), minLength: 1 } : { enum: binaries };
    const [items, maxItems] = [{ $ref: "#/$defs/text" }, this.#sizes.words];
    return { type: "array", prefixItems: [binary], items, minItems: 1, maxItems };
  }
}

/** Whole numbers: others may have endless digits. */
function integer({ minimum, maximum }: JsonSchema): Bounded {
  if (typeof minimum !== "number" || typeof maximum !== "number") return NONE;
  return { type: "integer", minimum: Math.ceil(minimum), maximum: Math.floor(maximum) };
}

function anyOf(options: readonly Bounded[]): Bounded {
  const [first, ...others] = options.filter((option) => option !== NONE);
  return first === undefined || others.length === 0 ? first : { anyOf: [first, ...others] };
}

function oneOf(names: readonly string[]): Bounded {
  return names.length === 0 ? NONE : { enum: names };
}

function listOf(names: readonly string[]): Bounded {
  return names.length === 0 ? NONE : { type: "array", items: { enum: names }, maxItems: Math.min(names.length, 256) };
}

function withFileName(output: Bounded): Bounded {
  return output === NONE ? NONE : { ...output, properties: { name: { enum: fileNames }, ...output.properties } };
}
