// Makes one tensor of the numbers in a line of CSV, as a model learned them: less their mean, over their deviation.
//
//   input:
//     kind: plugin
//     file: numbers.mjs
//     tensors: [{ tensor: x, shape: [3] }]
//     settings: { columns: [area, rooms, age], means: [100, 4, 20], deviations: [50, 2, 10] }
const list = (items) => ({ type: "array", items, minItems: 1 });

export default {
  api: 1,
  settings: {
    type: "object",
    properties: {
      columns: list({ type: "string" }),
      means: list({ type: "number" }),
      deviations: list({ type: "number" }),
    },
    required: ["columns", "means", "deviations"],
    additionalProperties: false,
  },
  open({ columns, means, deviations }, { tensors: [tensor] }) {
    if (means.length !== columns.length || deviations.length !== columns.length) {
      throw new Error(`expected a mean and a deviation for each of ${columns.length} columns`);
    }
    const text = new TextDecoder("utf-8", { fatal: true });
    return {
      read(bytes) {
        const [head = "", row = ""] = text.decode(bytes).trim().split(/\r?\n/);
        const names = head.split(",");
        const cells = row.split(",");
        const numbers = columns.map((column, at) => {
          const cell = cells[names.indexOf(column)]?.trim() ?? "";
          const value = Number(cell);
          if (cell === "" || !Number.isFinite(value)) {
            throw new Error(`${column}: expected a number, found ${cell === "" ? "nothing" : cell}`);
          }
          return (value - means[at]) / deviations[at];
        });
        return { [tensor.name]: { data: Float32Array.from(numbers), shape: [columns.length] } };
      },
    };
  },
};
