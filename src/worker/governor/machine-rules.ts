/** The rules about the rest of the machine, one reason each. All pure. They do not hold back work inside the worker. */
import type { AdmissionRule, AdmissionView, Objection } from "./admission-view.ts";
import { freeFor, neededOn } from "./gpu-tokens.ts";
import type { Room } from "./machine-gates.ts";
import { bytes } from "./words.ts";

const SOON_MS = 250;
const LATER_MS = 1_000;
/** Descriptors that starting and watching one more process may take. */
const FILES_PER_PROCESS = 16;

/** The room of a kind with the least left over, if `need` does not fit into it. */
function lackingRoom(view: AdmissionView, kind: Room["kind"], need: number): Room | undefined {
  const rooms = view.gates.machine?.rooms.filter((room) => room.kind === kind) ?? [];
  const short = rooms.filter((room) => room.free - need < room.reserve);
  return short.toSorted((a, b) => a.free - a.reserve - (b.free - b.reserve))[0];
}

const diskSpace: AdmissionRule = ({ isInside, diskBytes = 0 }, view) => {
  const need = diskBytes + (view.promisedDiskBytes ?? 0);
  const room = isInside ? undefined : lackingRoom(view, "bytes", need);
  if (room === undefined) return undefined;
  const expected = need > 0 ? `, ${bytes(need)} more will be written` : "";
  return {
    code: "DISK_SPACE",
    lacking: "disk",
    message: `${bytes(room.free)} is free at ${room.where}${expected}, ${bytes(room.reserve)} must stay free`,
    need: need + room.reserve,
    have: room.free,
    retryAfterMs: LATER_MS,
  };
};

const diskInodes: AdmissionRule = ({ isInside }, view) => {
  const room = isInside ? undefined : lackingRoom(view, "inodes", 0);
  if (room === undefined) return undefined;
  return {
    code: "DISK_INODES",
    lacking: "disk",
    message: `${room.free} more files can be made at ${room.where}, ${room.reserve} must stay free`,
    need: room.reserve,
    have: room.free,
    retryAfterMs: LATER_MS,
  };
};

const pids: AdmissionRule = ({ need, isInside }, view) => {
  const room = isInside ? undefined : lackingRoom(view, "processes", need.processes);
  if (room === undefined) return undefined;
  return {
    code: "PIDS",
    lacking: "processes",
    message: `${room.free} more processes or threads may be made (limit of the ${room.where}), ${room.reserve} must stay free`,
    need: need.processes + room.reserve,
    have: room.free,
    retryAfterMs: SOON_MS,
  };
};

const files: AdmissionRule = ({ need, isInside }, view) => {
  const needed = FILES_PER_PROCESS * need.processes;
  const room = isInside ? undefined : lackingRoom(view, "files", needed);
  if (room === undefined) return undefined;
  return {
    code: "FILES",
    lacking: "files",
    message: `${room.free} more descriptors may be opened (limit of the ${room.where}), ${room.reserve} must stay free`,
    need: needed + room.reserve,
    have: room.free,
    retryAfterMs: SOON_MS,
  };
};

const hot: AdmissionRule = ({ isInside }, { gates }) => {
  const heat = gates.machine?.hot;
  if (isInside || heat === undefined) return undefined;
  return {
    code: "HOT",
    lacking: "heat",
    message: `${heat.sensor} is at ${round(heat.celsius)} °C, the cap is ${round(heat.capCelsius)} °C`,
    need: heat.capCelsius,
    have: heat.celsius,
    retryAfterMs: LATER_MS,
  };
};

/** A rule that holds the number of processes while a gate says how many may run. */
function holds<Held extends { readonly allowed: number }>(
  heldOf: (view: AdmissionView) => Held | undefined,
  tell: (held: Held) => Pick<Objection, "code" | "lacking" | "message" | "need" | "have">,
): AdmissionRule {
  return ({ need, isInside }, view) => {
    const held = isInside ? undefined : heldOf(view);
    if (held === undefined || view.reserved.processes + need.processes <= held.allowed) return undefined;
    return { ...tell(held), retryAfterMs: LATER_MS };
  };
}

const slowedByHeat = holds(
  (view) => view.gates.machine?.throttle,
  ({ allowed, perSecond }) => ({
    code: "HOT",
    lacking: "heat",
    message: `CPUs slow down for heat ${round(perSecond)} times a second; held to ${allowed} processes`,
    need: 0,
    have: perSecond,
  }),
);

const power = holds(
  (view) => view.gates.machine?.power,
  ({ allowed, watts, capWatts }) => ({
    code: "POWER",
    lacking: "power",
    message: `${round(watts)} W are drawn, the cap is ${round(capWatts)} W; held to ${allowed} processes`,
    need: capWatts,
    have: watts,
  }),
);

const ioPressure = holds(
  (view) => view.gates.machine?.io,
  ({ allowed, full }) => ({
    code: "PSI_IO",
    lacking: "pressure",
    message: `all tasks stalled for disks ${round(full * 100)} % of the time; held to ${allowed} processes`,
    need: 0,
    have: full,
  }),
);

/** Device tokens: a card is one job's alone until that ends. */
const gpu: AdmissionRule = ({ gpu: wanted }, { gpus = [] }) => {
  if (wanted === undefined) return undefined;
  if (gpus.some((card) => !card.isTaken)) return undefined;
  const message =
    gpus.length === 0 ? "needs a GPU, none can be seen now" : `needs a GPU, all ${gpus.length} are taken by jobs`;
  return { code: "GPU", lacking: "gpu", message, need: 1, have: 0, retryAfterMs: SOON_MS };
};

/** A card that is no job's may still be full of what others hold on it. */
const gpuMemory: AdmissionRule = (request, { gpus = [] }) => {
  const { gpu: wanted } = request;
  if (wanted === undefined) return undefined;
  const cards = gpus.filter((card) => !card.isTaken);
  const lacks = cards.map((card) => ({ need: neededOn(card, wanted), free: freeFor(card, request) }));
  if (lacks.some(({ need, free }) => free >= need)) return undefined;
  const most = Math.max(...lacks.map(({ free }) => free));
  const need = Math.min(...lacks.map((lack) => lack.need));
  const largest = Math.max(...gpus.map(({ totalBytes }) => totalBytes));
  const found =
    need > largest ? `the largest card has ${bytes(largest)}` : `${bytes(most)} is free on the emptiest card`;
  return {
    code: "GPU_MEM",
    lacking: "gpu",
    message: `needs ${bytes(need)} of GPU memory, ${found}`,
    need,
    have: most,
    retryAfterMs: LATER_MS,
  };
};

/** What the machine has run out of, whoever holds it. */
export const scarceRules: readonly AdmissionRule[] = [diskSpace, diskInodes, pids, files, gpu, gpuMemory, hot];

/** What holds the number of processes: one that ends is replaced. */
export const heldRules: readonly AdmissionRule[] = [slowedByHeat, power, ioPressure];

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
