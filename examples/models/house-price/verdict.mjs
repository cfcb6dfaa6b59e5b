// Says of a price which class it is in, and keeps the figure beside it.
//
//   output:
//     kind: plugin
//     file: verdict.mjs
//     tensors: [price]
//     settings: { dear: 500 }
export default {
  api: 1,
  settings: (raw) => {
    if (typeof raw.dear !== "number") throw new Error("dear: the price above which a house is dear");
    return raw;
  },
  open: ({ dear }, { tensors: [tensor] }) => ({
    answer(outputs) {
      const [price] = outputs[tensor.name].data;
      return { label: price > dear ? "dear" : "fair", answer: { price: Math.round(price), above: price > dear } };
    },
  }),
};
