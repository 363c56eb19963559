// Where the numbers of an axis stand, and how they are written.

import { grouped } from "./numbers.js";

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const LONG = 1e5; // a logarithmic axis that is longer has powers of ten for its numbers

const tidy = (value) => Number(value.toPrecision(12));

// Multiples of 1, 2 or 5 times a power of ten within [low, high].
export function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => tidy((first + index) * step));
}

// Powers of ten within [low, high], not all where they are many, and numbers between them where they are few.
export function logTicks(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const stride = Math.max(1, Math.ceil((last - first) / most));
  const powers = [];
  for (let power = last; power >= first; power -= stride) powers.unshift(Number(`1e${power}`));
  if (powers.length > 2) return powers;
  const between = [];
  for (let power = first - 1; power <= last; power++) between.push(...[1, 2, 5].map((factor) => tidy(factor * 10 ** power)));
  const inside = between.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  return inside.length > 2 ? inside : ticks(low, high, most);
}

// The words for tick `value` of an axis from low to high.
export function tickName(value, { log = false, low = 0, high = 1 } = {}) {
  if (log && high / low > LONG && Number.isInteger(tidy(Math.log10(value)))) {
    const power = String(tidy(Math.log10(value)));
    return `10${power.replace("-", "⁻").replace(/\d/g, (digit) => RAISED[digit])}`;
  }
  const size = Math.abs(value);
  const [unit, letter] = size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return `${value < 0 ? "-" : ""}${grouped(String(tidy(size / unit)))}${letter}`;
}
