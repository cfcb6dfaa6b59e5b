/** 16-bit floats (IEEE 754 binary16) as the whole numbers that hold their bits. Pure. */

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** The nearest 16-bit float, of two that are as near the even one; beyond 65,504 it is infinite. */
export function toHalf(value: number): number {
  single[0] = value;
  const all = bits[0] ?? 0;
  const sign = (all >>> 16) & 0x8000;
  const exponent = (all >>> 23) & 0xff;
  const fraction = all & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  const halfExponent = exponent - 127 + 15;
  if (halfExponent >= 0x1f) return sign | 0x7c00;
  // A carry out of the fraction raises the exponent, up to that of infinity: the sum of both is right.
  if (halfExponent > 0) return sign | rounded((halfExponent << 23) | fraction, 13);
  // Below the smallest normal number bits fall off the end; half of the smallest of all is none.
  return halfExponent < -10 ? sign : sign | rounded(fraction | 0x800000, 14 - halfExponent);
}

function rounded(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

export function fromHalf(half: number): number {
  const sign = (half & 0x8000) === 0 ? 1 : -1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1_024) * 2 ** (exponent - 15);
}
