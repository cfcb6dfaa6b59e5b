/** Holds answers of the intake against the published OpenAPI file. */
import Ajv from "ajv";
import { readFileSync } from "node:fs";
import { join } from "node:path";

type Json = Readonly<Record<string, unknown>>;

const document = JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/openapi.json"), "utf8")) as {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Json>> }>>>
  >;
};
const ajv = new Ajv({ schemaId: "auto", unknownFormats: "ignore", logger: false, meta: false, validateSchema: false });
ajv.addSchema(document, "openapi.json");

/** The schema that the file gives for an answer, by a pointer into it. */
function pointerTo(operation: string, status: number, type: string): string {
  const [method = "", path = ""] = operation.split(" ");
  const known = document.paths[path]?.[method.toLowerCase()]?.responses[String(status)];
  if (known === undefined) throw new TypeError(`expected ${operation} to tell of status ${status}, found nothing`);
  const { $ref } = known as { readonly $ref?: string };
  const place = $ref ?? `#/paths/${escaped(path)}/${method.toLowerCase()}/responses/${status}`;
  return `openapi.json${place}/content/${escaped(type)}/schema`;
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** The body of an answer to `GET /v1/…` as the file writes it. @throws when it is another than the file says */
export async function conforming(operation: string, answer: Response): Promise<Json> {
  const type = (answer.headers.get("content-type") ?? "").split(";", 1)[0] ?? "";
  const body = (await answer.json()) as Json;
  const schema = { $ref: pointerTo(operation, answer.status, type) };
  if (ajv.validate(schema, body) === true) return body;
  throw new TypeError(`${operation} ${answer.status}: ${ajv.errorsText()}\n${JSON.stringify(body).slice(0, 2_000)}`);
}
