/** Colours and marks of a terminal that has them; plain text elsewhere. */

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

const plain = (text: string): string => text;
const painted =
  ([on, off]: readonly [number, number]) =>
  (text: string): string =>
    `\u001b[${on}m${text}\u001b[${off}m`;

export const plainStyle: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };
const colourStyle: Style = {
  bold: painted(codes.bold),
  dim: painted(codes.dim),
  red: painted(codes.red),
  green: painted(codes.green),
  yellow: painted(codes.yellow),
  cyan: painted(codes.cyan),
};

type Environment = Readonly<Record<string, string | undefined>>;

/** The style for a stream: plain when it is no terminal, when NO_COLOR has a value, or when the terminal is dumb. */
export function styleFor(stream: { readonly isTTY?: boolean | undefined }, env: Environment): Style {
  const isRefused = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return stream.isTTY === true && !isRefused ? colourStyle : plainStyle;
}

/** Whether a line on this stream can be drawn over. */
export function canRedraw(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  return stream.isTTY === true && env["TERM"] !== "dumb" && env["CI"] === undefined;
}
