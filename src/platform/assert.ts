/** Ends an exhaustive `switch`: reached only by a value that the types say cannot be. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected value ${JSON.stringify(value)}`);
}
