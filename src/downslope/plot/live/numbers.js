"use strict";
// Draws the page's plots anew so that they answer to pointer, keyboard and finger. All numbers come from the element
// #data, all colours from the style sheet; without this script the page shows the same plots, drawn beforehand.
const DATA = JSON.parse(document.getElementById("data").textContent);
const WORDS = DATA.words ?? {}; // what texts are called on a page in another language, their one number as {n}
const UNITS = { step: "step", epoch: "epoch", examples: "examples" };
const HORIZONS = 24; // places of the smoothing slider, from 2 steps to a quarter of the longest run
const charts = {};
let state = begin();
let cursor = null; // { chart, at: index into its places }

// ---- words and numbers

function say(text) {
  if (typeof text !== "string" || WORDS[text] !== undefined) return WORDS[text] ?? text;
  const number = /\d[\d.,]*(?:e[-\u2212]?\d+)?/.exec(text)?.[0];
  return number === undefined ? text : (WORDS[text.replace(number, "{n}")]?.replace("{n}", number) ?? text);
}

function begin() {
  return { x: "step", smooth: null, zoom: {}, log: {}, hidden: new Set() };
}

const unpackSteps = (steps) =>
  Array.isArray(steps)
    ? steps.map(((sum) => (step) => (sum += step))(0))
    : Array.from({ length: steps.n }, (_, i) => steps.from + i * steps.by);
const unpackValues = (values) => (values.runs ? values.runs.flatMap(([value, n]) => Array(n).fill(value)) : values);

// Where a step of a run lies on the axis: steps are counted from 0, epochs and examples are those done after it.
function placeOf(run, step, unit) {
  const { per, examples, batch } = DATA.runs[run], done = step + 1;
  if (unit === "step") return step;
  if (unit === "epoch") return done / per;
  return Math.floor(done / per) * examples + Math.min((done % per) * batch, examples);
}

// Exponential moving average over a horizon of steps, freed of the pull of its beginning as Adam's means are: the mean
// of all values so far, each with the weight count * exp(-age / horizon).
function exponentialMean(steps, values, counts, horizon) {
  let sum = 0, weight = 0, before = steps[0];
  return values.map((value, i) => {
    const kept = Math.exp((before - steps[i]) / horizon);
    [sum, weight, before] = [sum * kept, weight * kept, steps[i]];
    if (value === null) return null;
    sum += counts[i] * value;
    weight += counts[i];
    return sum / weight;
  });
}

// Centred mean over `window` values, which shrinks at the ends as that of the plots drawn beforehand does.
function runningMean(values, counts, window) {
  const sums = [0], known = [0];
  values.forEach((value, i) => {
    sums.push(sums[i] + (value === null ? 0 : counts[i] * value));
    known.push(known[i] + (value === null ? 0 : counts[i]));
  });
  return values.map((value, i) => {
    if (value === null) return null;
    const before = Math.min(i, window >> 1), after = Math.min(before, values.length - 1 - i);
    const from = i - before, to = i + after + 1;
    return (sums[to] - sums[from]) / (known[to] - known[from]);
  });
}

// A curve's line as it is smoothed now: { steps, values }.
function smoothed(line) {
  if (line.window === 1 || state.smooth === 0) return { steps: line.steps, values: line.values };
  const { steps, values, counts } = line.means;
  if (state.smooth !== null) return { steps, values: exponentialMean(steps, values, counts, state.smooth) };
  const each = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return { steps, values: runningMean(values, counts, 2 * Math.round(line.window / each / 2 - 0.5) + 1) };
}

// A share in percent, as Python writes it: of two that are equally near, the one whose last digit is even.
function percentText(share) {
  const value = 100 * share, text = value.toFixed(2), between = Number.isInteger(8 * value) && !Number.isInteger(4 * value);
  return `${between && "13579".includes(text.at(-1)) ? (value - 0.005).toFixed(2) : text} %`;
}

function written(value, percent) {
  if (value === null || value === undefined) return "–";
  if (percent) return percentText(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3).replace(/\.?0*e\+?/, "e").replace("-", "−");
  return String(Number(value.toPrecision(5))).replace("-", "−");
}

const grouped = (count) => (count < 1e4 ? String(count) : count.toLocaleString("en").replaceAll(",", "\u202f"));

// A tick's label: 20k for 20,000, as on the plots drawn beforehand.
function tickText(value, percent) {
  if (percent) return `${Number((100 * value).toPrecision(6))} %`;
  const size = Math.abs(value), cut = (number) => String(Number(number.toPrecision(6)));
  if (size >= 1e9 || (size !== 0 && size < 1e-4)) return value.toExponential().replace("e+", "e").replace("-", "−");
  if (size >= 1e6) return `${cut(value / 1e6)}M`;
  return (size >= 1e4 ? `${cut(value / 1e3)}k` : cut(value)).replace("-", "−");
}

// Ticks at round numbers; at whole ones alone where `least` is 1.
function linearTicks(low, high, count, least = 0) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const by = Math.max(least, power * ([1, 2, 5].find((factor) => factor * power >= 0.8 * rough) || 10));
  const first = Math.ceil(low / by - 1e-9), found = [];
  for (let i = first; i * by <= high + by * 1e-9; i++) found.push(Number((i * by).toPrecision(12)));
  return found;
}

function logTicks(low, high, count) {
  const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high)), found = [];
  const every = Math.max(1, Math.ceil((to - from) / count));
  const factors = Math.log10(high) - Math.log10(low) < 1.7 ? [1, 2, 5] : [1];
  for (let power = Math.ceil(from / every) * every; power <= to; power += every) {
    for (const factor of factors) found.push(Number(`${factor}e${power}`));
  }
  const inside = found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  return inside.length > 1 ? inside : linearTicks(low, high, count).filter((value) => value > 0);
}
