/** The options about flows; light, as every command line makes them. */
import { Option } from "commander";

export const planFormats = ["tree", "json", "mermaid", "dot", "svg"] as const;

const collect = (value: string, earlier: readonly string[] = []): readonly string[] => [...earlier, value];

/** Those of `headroom run`. */
export function flowOptions(): Option[] {
  return [
    new Option("--flow <file>", "run the nodes of a flow file, in place of files and a command"),
    setOption(),
    new Option("--plan-only", "draw the flow and run nothing"),
    formatOption(),
  ];
}

/** How a flow is given its inputs. */
export function setOption(): Option {
  return new Option("--set <name=value>", "an input of the flow; may be repeated").argParser(collect);
}

/** How a drawing is asked for. */
export function formatOption(): Option {
  return new Option("--format <form>", `how to draw the flow: ${planFormats.join(", ")} (default: tree)`);
}
