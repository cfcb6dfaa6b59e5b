// A collector that reads one number from a file, such as one that a sensor or a cron job writes.
//
//   governor:
//     probes:
//       - module: ./number-in-a-file.mjs
//         settings: { name: fan, file: /run/fan-rpm, figure: rpm }
import { readFile } from "node:fs/promises";

export const probe = {
  settings: (raw) => {
    const { name, file, figure = "value" } = raw;
    if (typeof name !== "string") throw new Error("a name, such as fan");
    if (typeof file !== "string" || !file.startsWith("/")) throw new Error("the absolute path of a file");
    if (typeof figure !== "string") throw new Error("the name of the figure");
    return { name, file, figure };
  },
  create: ({ name, file, figure }) => ({
    name,
    periodMs: 1_000,
    read: async (signal) => {
      const text = await readFile(file, { encoding: "utf8", signal });
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`expected a number in ${file}, found ${text}`);
      return { [figure]: value };
    },
  }),
};
