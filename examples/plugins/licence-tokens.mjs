// A rule for a program with licences: no more of its jobs run on this worker than there are free licences.
//
// The number is fixed, or the figure of a collector (see number-in-a-file.mjs); a job counts when its queue begins with
// the name of the profile.
//
//   governor:
//     rules:
//       - module: ./licence-tokens.mjs
//         settings: { profile: solver, tokens: 2 }

export const rule = {
  settings: (raw) => {
    const { profile, tokens, collector, figure = "value" } = raw;
    if (typeof profile !== "string") throw new Error("the name of a profile");
    const isNumber = Number.isInteger(tokens) && tokens >= 0;
    if (!isNumber && typeof collector !== "string") throw new Error("a number of tokens, or the name of a collector");
    return { profile, tokens, collector, figure };
  },
  create: ({ profile, tokens, collector, figure }) => ({
    name: "licence-tokens",
    // Without a figure nobody knows how many are free: better to wait than to start what will fail.
    whenBroken: "defer",
    decide: (job, worker) => {
      const isOurs = ({ queue }) => queue.startsWith(`exec.${profile}`);
      if (!isOurs(job)) return undefined;
      const all = tokens ?? worker.figures[collector]?.[figure];
      if (all === undefined) throw new Error(`the collector ${collector} has no figure ${figure} now`);
      const taken = worker.running.filter(isOurs).length;
      if (taken < all) return undefined;
      return { message: `all ${all} licences of ${profile} are taken`, need: 1, have: 0, retryAfterMs: 500 };
    },
  }),
};
