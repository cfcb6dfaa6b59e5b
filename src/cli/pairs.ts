/** `NAME=VALUE` arguments of commands that set something. */
import { parse } from "yaml";
import { InvalidInputError, type Fault } from "../contract/errors.ts";

/**
 * The values by name, each read as YAML. `where` names the command.
 * @throws {InvalidInputError} for one that is no pair, and for a name that is given twice
 */
export function parsePairs(pairs: readonly string[], where: string): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  const faults: Fault[] = [];
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, Math.max(0, at));
    if (at <= 0) faults.push({ where, expected: "NAME=VALUE", found: JSON.stringify(pair) });
    else if (Object.hasOwn(values, name)) {
      faults.push({
        where,
        expected: `${name} once`,
        found: pairs.filter((one) => one.startsWith(`${name}=`)).join(" and "),
      });
    } else values[name] = parse(pair.slice(at + 1)) as unknown;
  }
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  return values;
}
