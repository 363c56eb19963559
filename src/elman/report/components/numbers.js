// Numbers as they come from the server, and as people read them.

// An array {shape, data}, its data the base64 of little-endian float32, or of float16 ("f2"), float64 ("f8") or bytes ("i1"),
// of which each row has a scale, and -128 is no number. Its `steps` are these scales.
export function floats({ data, type, shape, scales }) {
  const { buffer } = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  if (type === "f8") return new Float64Array(buffer);
  if (type === "i1") {
    const values = Float32Array.from(new Int8Array(buffer), (level, index) => (level === -128 ? NaN : level * scales[Math.floor(index / shape[1])]));
    return Object.assign(values, { steps: scales });
  }
  return type === "f2" ? Float32Array.from(new Uint16Array(buffer), single) : new Float32Array(buffer);
}

// The number that the bits of a half stand for.
function single(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

// For `JSON.parse`: arrays become what they were, with their shape.
export const revive = (_, value) => (value?.data && value.shape ? Object.assign(floats(value), { shape: value.shape }) : value);

// A number as reports write it (figure.py): whole where it is whole or large, else with three digits; or with as many as numbers
// in steps of a size have.
export function short(value, signed = false, step = 0) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return (value < 0 ? "-" : signed && value > 0 ? "+" : "") + (step > 0 ? stepped(size, step) : plain(size));
}

function plain(size) {
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return size.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return Number.isInteger(size) || size >= 100 ? grouped(size.toFixed(0)) : String(Number(size.toPrecision(3)));
}

const stepped = (size, step) => grouped(String(Number(size.toFixed(Math.min(99, Math.max(0, Math.ceil(-Math.log10(2 * step))))))));

// Digits with commas between thousands.
export const grouped = (digits) => digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

export function percent(probability) {
  if (!Number.isFinite(probability)) return "–";
  if (probability < 0.001) return "< 0.1 %";
  return `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)} %`;
}

// A symbol with what one would not see made visible.
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll("\r", "␍") || "∅";

// A symbol as one hears it.
const SPOKEN = { " ": "space", "\n": "line break", "\t": "tab", "": "nothing", ",": "comma", ".": "full stop", ":": "colon", "(": "opening bracket", ")": "closing bracket", "_": "underscore", '"': "double quote", "'": "quote" };
export const spoken = (text) => SPOKEN[text] ?? text;
