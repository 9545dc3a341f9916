"use strict";
// Draws the page's plots anew so that they answer to pointer, keyboard and finger. All numbers come from the element
// #data, all colours from the style sheet; without this script the page shows the same plots, drawn beforehand.
const DATA = JSON.parse(document.getElementById("data").textContent);
const UNITS = { step: "step", epoch: "epoch", examples: "examples" };
const HORIZONS = 24; // places of the smoothing slider, from 2 steps to a quarter of the longest run
const charts = {};
let state = begin();
let cursor = null; // { chart, at: index into its places }

// ---- numbers

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

function written(value, percent) {
  if (value === null || value === undefined) return "–";
  if (percent) return `${(100 * value).toFixed(2)} %`;
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

function linearTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const by = power * ([1, 2, 5].find((factor) => factor * power >= 0.8 * rough) || 10);
  const first = Math.ceil(low / by - 1e-9), found = [];
  for (let i = first; i * by <= high + by * 1e-9; i++) found.push(Number((i * by).toPrecision(12)));
  return found;
}

function logTicks(low, high, count) {
  const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high)), found = [];
  const every = Math.max(1, Math.ceil((to - from) / count));
  const factors = Math.log10(high / low) < 1.7 ? [1, 2, 5] : [1];
  for (let power = from; power <= to; power += every) {
    for (const factor of factors) found.push(Number(`${factor}e${power}`));
  }
  const inside = found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  return inside.length > 1 ? inside : linearTicks(low, high, count).filter((value) => value > 0);
}

// ---- elements

const SVG = "http://www.w3.org/2000/svg";
function draw(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}
function element(parent, name, kind, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}
const paint = (line) => `var(--line-${line.colour})`;
const DASHES = ["none", "6 3", "2 2.5"];

// ---- one chart

function makeChart(key, data, figure) {
  const lines = data.lines.map((line, index) => {
    const run = line.run ?? 0, values = unpackValues(line.v), steps = line.x ?? unpackSteps(line.s);
    const counts = values.map(() => 1);
    const means = line.m
      ? { steps: unpackSteps(line.m.s), values: line.m.v, counts: line.m.c }
      : { steps, values, counts };
    return { ...line, index, run, steps, values, means, window: line.window ?? 1 };
  });
  const chart = { key, ...data, lines, figure, byStep: !data.axis, id: `live-${key}` };
  chart.still = figure.querySelector("svg.plot");
  chart.box = element(figure, "div", "live");
  chart.still.replaceWith(chart.box);
  chart.svg = draw(chart.box, "svg", { id: chart.id, class: "plot", tabindex: 0, role: "group" });
  chart.svg.setAttribute("aria-roledescription", "chart");
  chart.svg.setAttribute("aria-label", `${data.title}. Arrow keys read its values, plus and minus zoom, 0 shows all.`);
  chart.tip = element(chart.box, "div", "tip", undefined, { hidden: true });
  chart.tip.setAttribute("role", "status");
  chart.said = figure.querySelector(".as-drawn");
  makeButtons(chart);
  listen(chart);
  return chart;
}

function makeButtons(chart) {
  const head = chart.figure.querySelector(".head"), box = element(head, "span", "buttons");
  if (chart.lines.some((line) => line.values.some((value) => value > 0))) {
    chart.scale = element(box, "button", "scale", "log", { type: "button", title: "logarithmic axis" });
    chart.scale.addEventListener("click", () => setLog(chart, !isLog(chart)));
  }
  const csv = element(box, "button", "csv", "CSV", { type: "button", title: "download the numbers of this plot" });
  csv.addEventListener("click", () => download(chart));
  for (const key of chart.figure.querySelectorAll("[data-line]")) {
    makeSwitch(key, `${chart.key}.${key.dataset.line}`);
  }
}

function makeSwitch(key, id) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "key", title: "show or hide; with Shift, show it alone" });
  button.dataset.switch = id;
  button.append(...key.childNodes);
  key.replaceWith(button);
  button.addEventListener("click", (event) => {
    const family = [...document.querySelectorAll("[data-switch]")].map((one) => one.dataset.switch);
    const others = family.filter((one) => one !== id && one.split(".")[0] === id.split(".")[0]);
    const alone = !state.hidden.has(id) && others.every((one) => state.hidden.has(one));
    if (event.shiftKey) {
      state.hidden.delete(id);
      others.forEach((one) => (alone ? state.hidden.delete(one) : state.hidden.add(one)));
    } else if (!state.hidden.delete(id)) state.hidden.add(id);
    changed();
  });
}

const isLog = (chart) => state.log[chart.key] ?? Boolean(chart.log);
const isHidden = (chart, line) =>
  state.hidden.has(`${chart.key}.${line.index}`) || (chart.byStep && state.hidden.has(`run.${line.run}`));
const zoomOf = (chart) => state.zoom[chart.byStep ? "" : chart.key];

function setLog(chart, on) {
  if (on === Boolean(chart.log)) delete state.log[chart.key];
  else state.log[chart.key] = on;
  changed();
}

function setZoom(chart, range) {
  const key = chart.byStep ? "" : chart.key;
  if (range) state.zoom[key] = range;
  else delete state.zoom[key];
  changed();
}

// What is drawn now: for each visible line its places, values and raw values, and all places where there are values.
function layOut(chart) {
  const unit = state.x, xLog = chart.axis?.log;
  chart.shown = chart.lines.filter((line) => !isHidden(chart, line)).map((line) => {
    const { steps, values } = chart.byStep ? smoothed(line) : line;
    const at = (ones) => (chart.byStep ? ones.map((step) => placeOf(line.run, step, unit)) : ones);
    const raw = line.window > 1 && state.smooth !== 0 && (line.faint || state.smooth !== null);
    const places = at(steps), own = line.steps === steps ? places : at(line.steps);
    return { line, places, values, steps, rawPlaces: own, raw: raw ? line.values : null };
  });
  const all = chart.shown.flatMap((one) => one.rawPlaces);
  chart.places = [...new Set(all)].sort((a, b) => a - b);
  const low = chart.byStep ? 0 : Math.min(...chart.places), high = chart.places.at(-1) ?? 1;
  chart.whole = xLog
    ? [low / (high / low || 1) ** 0.04 / 1.05, high * (high / low || 1) ** 0.04 * 1.05]
    : [low - (chart.byStep ? 0.01 : 0.05) * (high - low || 1), high + (chart.byStep ? 0.01 : 0.05) * (high - low || 1)];
  if (chart.axis?.words) chart.whole = [-0.5, chart.axis.words.length - 0.5];
  chart.range = zoomOf(chart) ?? chart.whole;
}

function heights(chart) {
  const [from, to] = chart.range, log = isLog(chart);
  chart.cut = false;
  let low = Infinity, high = -Infinity;
  const take = (places, values) =>
    values.forEach((value, i) => {
      if (value === null || places[i] < from || places[i] > to || (log && value <= 0)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  for (const one of chart.shown) {
    take(one.places, one.values);
    if (one.raw) take(one.rawPlaces, one.raw);
  }
  if (chart.levels && !log) for (const level of chart.levels) if (level.frame) [low, high] = [Math.min(low, level.y), Math.max(high, level.y)];
  if (!Number.isFinite(low)) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const room = (high / low) ** 0.05;
    return low === high ? [low / 2, high * 2] : [low / room, high * room];
  }
  chart.cut = chart.floor !== undefined && !zoomOf(chart) && low < chart.floor && chart.floor < high;
  if (chart.cut) low = chart.floor;
  const spread = high - low || Math.abs(high) || 1;
  return [low - 0.05 * spread, high + 0.05 * spread];
}

function render(chart) {
  layOut(chart);
  const width = Math.max(260, chart.box.clientWidth), height = Math.round(Math.min(320, Math.max(215, width * 0.53)));
  const ends = chart.ends && width > 300, left = 52, right = ends ? 58 : 14, top = 10, bottom = 38;
  const inner = [width - left - right, height - top - bottom], log = isLog(chart), xLog = chart.axis?.log;
  const [low, high] = heights(chart), [from, to] = chart.range;
  const part = (value, a, b, logarithmic) => (logarithmic ? Math.log(value / a) / Math.log(b / a) : (value - a) / (b - a));
  chart.x = (value) => left + part(value, from, to, xLog) * inner[0];
  chart.y = (value) => (log && value <= 0 ? top + inner[1] + 20 : top + (1 - part(value, low, high, log)) * inner[1]);
  chart.back = (pixel) => {
    const share = (pixel - left) / inner[0];
    return xLog ? from * (to / from) ** share : from + share * (to - from);
  };
  chart.frame = { left, top, right: left + inner[0], bottom: top + inner[1], width, height };
  const { svg, frame } = chart;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  draw(svg, "title", {}, chart.title);
  const clip = draw(draw(svg, "clipPath", { id: `${chart.id}-clip` }), "rect", { x: left, y: 0, width: inner[0], height: frame.bottom });
  clip.setAttribute("y", top - 4);
  axes(chart, log, [low, high]);
  const inside = draw(svg, "g", { "clip-path": `url(#${chart.id}-clip)` });
  marks(chart, inside);
  for (const one of chart.shown) if (one.raw) path(chart, inside, one.line, one.rawPlaces, one.raw, "faint");
  for (const one of chart.shown) drawLine(chart, inside, one);
  if (ends) labelEnds(chart);
  chart.cross = draw(svg, "g", { class: "cross" });
  chart.band = draw(svg, "rect", { class: "band", y: top, height: inner[1], width: 0 });
  describe(chart, log);
  if (chart.scale) {
    chart.scale.setAttribute("aria-pressed", log);
    chart.scale.textContent = log ? "log" : "linear";
    chart.scale.title = log ? "show a linear axis" : "show a logarithmic axis";
  }
}

// The sentences on how the chart is drawn, in the place of those on how it was drawn beforehand.
function describe(chart, log) {
  const said = log ? ["Logarithmic scale."] : [], even = chart.shown.filter(({ line }) => line.window > 1);
  if (even.length && state.smooth !== 0) {
    const faint = even.some((one) => one.raw), one = new Set(even.map(({ line }) => line.window)).size === 1;
    const over = state.smooth !== null ? `exponential mean over ${written(state.smooth)} steps`
      : one ? `running mean over ${even[0].line.window} values` : "running mean over about a fortieth of each run";
    const all = even.length === chart.shown.length, whose = all ? "" : `${even.map(({ line }) => line.name).join(", ")}: `;
    said.push(faint ? `Faint: every value. Line: ${over}.` : `${(whose + over)[0].toUpperCase()}${(whose + over).slice(1)}.`);
  }
  if (chart.cut) said.push("The beginning lies below the frame.");
  if (chart.note) said.push(chart.note);
  if (chart.said) chart.said.textContent = said.join(" ");
}

function axes(chart, log, [low, high]) {
  const { svg, frame } = chart, [from, to] = chart.range, wide = frame.right - frame.left;
  for (const value of log ? logTicks(low, high, 6) : linearTicks(low, high, 5)) {
    const y = chart.y(value);
    draw(svg, "line", { x1: frame.left, x2: frame.right, y1: y, y2: y, class: "grid" });
    draw(svg, "text", { x: frame.left - 8, y: y + 4, class: "tick y" }, tickText(value, chart.percent));
  }
  draw(svg, "line", { x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom, class: "axis" });
  const words = chart.axis?.words;
  const ticks = words ? words.map((_, i) => i).filter((i) => i >= from && i <= to)
    : chart.axis?.log ? logTicks(from, to, wide / 70) : linearTicks(Math.max(from, chart.byStep ? 0 : -Infinity), to, Math.max(2, Math.floor(wide / 66)));
  for (const value of ticks) {
    const x = chart.x(value);
    draw(svg, "line", { x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 3, class: "axis" });
    draw(svg, "text", { x, y: frame.bottom + 16, class: "tick x" }, words ? words[value] : tickText(value));
  }
  draw(svg, "text", { x: frame.right, y: frame.bottom + 32, class: "tick name" }, chart.axis?.name ?? UNITS[state.x]);
}

function marks(chart, inside) {
  const { frame } = chart;
  for (const level of chart.levels ?? []) {
    const points = level.slope ? chart.range.map((x) => [chart.x(x), chart.y(x)]) : [[frame.left, chart.y(level.y)], [frame.right, chart.y(level.y)]];
    draw(inside, "path", { d: `M${points.map((p) => p.join(" ")).join("L")}`, class: "level" });
  }
  for (const x of chart.uprights ?? []) {
    draw(inside, "line", { x1: chart.x(x), x2: chart.x(x), y1: frame.top, y2: frame.bottom, class: "upright" });
  }
  (chart.resumed ?? []).forEach((step, i) => {
    const x = chart.x(placeOf(0, step, state.x));
    draw(inside, "line", { x1: x, x2: x, y1: frame.top, y2: frame.bottom, class: "resumed" });
    if (i === 0) draw(inside, "text", { x: x + 4, y: frame.top + 10, class: "tick" }, "resumed");
  });
  for (const [run, step] of chart.gaps ?? []) {
    const x = chart.x(placeOf(run, step, state.x));
    draw(inside, "line", { x1: x, x2: x, y1: frame.bottom - 7, y2: frame.bottom, class: "gap" });
  }
}

function path(chart, parent, line, places, values, kind) {
  let text = "", open = false;
  values.forEach((value, i) => {
    if (value === null) open = false;
    else {
      text += `${open ? "L" : "M"}${chart.x(places[i]).toFixed(1)} ${chart.y(value).toFixed(1)}`;
      open = true;
    }
  });
  const made = draw(parent, "path", { d: text, class: kind, "stroke-dasharray": kind === "faint" ? "none" : DASHES[line.dash ?? 0] });
  made.style.stroke = paint(line);
}

function drawLine(chart, parent, { line, places, values }) {
  if (line.marks === undefined) path(chart, parent, line, places, values, "line");
  const [from, to] = chart.range, few = places.filter((x) => x >= from && x <= to).length < 120;
  values.forEach((value, i) => {
    const lonely = value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
    if (line.marks !== undefined) point(parent, line, chart.x(places[i]), value === null ? chart.frame.bottom - 6 : chart.y(value), line.sizes?.[i]);
    else if (value !== null && (lonely || (line.dots && few))) point(parent, line, chart.x(places[i]), chart.y(value), few && line.dots ? 2.4 : 1.8);
  });
}

function point(parent, line, x, y, radius = 3.4) {
  if (line.marks === "cross") {
    draw(parent, "path", { d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`, class: "lost" });
    return;
  }
  const diamond = line.marks === "diamond", r = diamond ? 5.5 : radius;
  const made = diamond ? draw(parent, "path", { d: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z` }) : draw(parent, "circle", { cx: x, cy: y, r });
  made.style.stroke = paint(line);
  made.style.fill = line.marks === "open" ? "none" : paint(line);
  if (line.alpha) made.style.opacity = line.alpha;
}

function labelEnds(chart) {
  const { frame } = chart, to = chart.range[1];
  const ends = chart.shown.flatMap(({ line, places, values }) => {
    for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null && places[i] <= to) return [{ line, value: values[i], y: chart.y(values[i]) }];
    return [];
  });
  // from the top down each at least a line's height below the one before, then up again where they left the frame
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => (end.y = Math.max(8, end.y, i ? ends[i - 1].y + 13 : 0)));
  for (let i = ends.length - 1; i >= 0; i--) ends[i].y = Math.min(ends[i].y, i + 1 < ends.length ? ends[i + 1].y - 13 : frame.bottom);
  for (const { line, value, y } of ends) {
    const text = chart.percent ? `${(100 * value).toFixed(2)} %` : tickText(Number(value.toPrecision(3)));
    draw(chart.svg, "text", { x: frame.right + 6, y: y + 4, class: "end" }, text).style.fill = paint(line);
  }
}

// ---- the crosshair

function nearest(places, x) {
  let low = 0, high = places.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - places[low - 1] < places[low] - x ? low - 1 : low;
}

function inView(chart) {
  const [from, to] = chart.range, all = chart.places;
  return all.filter((x) => x >= from && x <= to && (!chart.byStep || x >= 0));
}

// What a chart says at x: for each visible line { line, value, raw, place }, or nothing where it has ended.
function readAt(chart, x) {
  const [from, to] = chart.range, near = 0.015 * (to - from);
  return chart.shown.flatMap((one) => {
    if (!one.rawPlaces.length) return [];
    const i = nearest(one.places, x), k = nearest(one.rawPlaces, x), place = one.rawPlaces[k];
    if (chart.byStep && (x > one.rawPlaces.at(-1) + near || x < one.rawPlaces[0] - Math.max(near, one.rawPlaces[0]))) return [];
    if (!chart.byStep && place !== x) return [];
    const raw = one.line.window > 1 && state.smooth !== 0 ? one.line.values[k] : undefined;
    const value = one.line.values[k] === null && one.line.window > 1 ? null : one.values[i];
    return [{ line: one.line, value, raw, place, at: one.places[i], label: one.line.labels?.[k], step: one.line.steps[k] }];
  });
}

function placeText(chart, x, rows) {
  if (!chart.byStep) {
    const words = chart.axis.words;
    return `${chart.axis.name} ${words ? words[x] : written(x)}`;
  }
  const first = rows[0];
  if (DATA.runs.length > 1 || !first) return state.x === "step" ? `step ${grouped(x)}` : `${UNITS[state.x]} ${written(Number(x.toPrecision(4)))}`;
  const parts = [`step ${grouped(first.step)}`];
  if (DATA.runs[0].per) parts.push(`epoch ${written(Number(placeOf(0, first.step, "epoch").toPrecision(4)))}`);
  return parts.join(" · ");
}

function showAt(chart, index, aloud) {
  const x = chart.places[index];
  if (x === undefined) return;
  cursor = { chart, index };
  const rows = readAt(chart, x), { tip, frame } = chart;
  for (const other of Object.values(charts)) {
    if (other !== chart) clearCross(other);
    if (other.byStep === chart.byStep && (other === chart || (chart.byStep && x <= other.range[1]))) crossLine(other, other.x(x));
  }
  for (const row of rows) {
    if (row.value === null) continue;
    const dot = draw(chart.cross, "circle", { cx: chart.x(row.at), cy: chart.y(row.value), r: 4 });
    dot.style.fill = paint(row.line);
  }
  tip.setAttribute("aria-live", aloud ? "polite" : "off");
  tip.replaceChildren();
  element(tip, "div", "where", placeText(chart, x, [...rows].sort((a, b) => Math.abs(a.place - x) - Math.abs(b.place - x))));
  const list = element(tip, "div", rows.length > 9 ? "rows many" : "rows");
  for (const row of rows) {
    const one = element(list, "div", "row"), mark = element(one, "i", "");
    mark.style.background = paint(row.line);
    element(one, "span", "", row.label ?? row.line.name);
    element(one, "b", "", row.value === null && !chart.byStep ? "diverged" : written(row.value, chart.percent));
    if (row.raw !== undefined && row.raw !== row.value) element(one, "span", "soft", `this step ${written(row.raw, chart.percent)}`);
    else if (chart.byStep && Math.abs(row.place - x) > 1e-9) element(one, "span", "soft", `at ${written(row.place)}`);
  }
  tip.hidden = false;
  const scale = chart.box.clientWidth / frame.width, pixel = chart.x(x) * scale, room = chart.box.clientWidth;
  const own = tip.offsetWidth, right = pixel + 14 + own <= room;
  tip.style.left = `${Math.max(0, Math.min(room - own, right ? pixel + 14 : pixel - 14 - own))}px`;
  tip.style.top = `${frame.top * scale}px`;
}

function crossLine(chart, x) {
  clearCross(chart, true);
  if (x >= chart.frame.left - 1 && x <= chart.frame.right + 1) draw(chart.cross, "line", { x1: x, x2: x, y1: chart.frame.top, y2: chart.frame.bottom });
}
function clearCross(chart, kept) {
  chart.cross?.replaceChildren();
  if (!kept) chart.tip.hidden = true;
}
function hideCursor() {
  cursor = null;
  Object.values(charts).forEach((chart) => clearCross(chart));
}

// ---- pointer and keyboard

function listen(chart) {
  const { svg } = chart;
  let from = null;
  const pixel = (event) => ((event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width) * chart.frame.width;
  const held = (x) => Math.min(chart.frame.right, Math.max(chart.frame.left, x));
  const look = (event) => {
    const view = inView(chart);
    if (view.length) showAt(chart, chart.places.indexOf(view[nearest(view, chart.back(pixel(event)))]), false);
  };
  const band = (a, b) => {
    chart.band.setAttribute("x", Math.min(a, b));
    chart.band.setAttribute("width", Math.abs(a - b));
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (event.pointerType === "touch") return look(event);
    from = held(pixel(event));
    if (event.isTrusted) svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return look(event);
    band(from, held(pixel(event)));
  });
  svg.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [a, b] = [from, held(pixel(event))].sort((one, other) => one - other);
    from = null;
    band(0, 0);
    if (b - a > 6) {
      hideCursor();
      setZoom(chart, [chart.back(a), chart.back(b)]);
    }
  });
  svg.addEventListener("pointercancel", () => ((from = null), band(0, 0)));
  svg.addEventListener("pointerleave", (event) => {
    if (from === null && event.pointerType !== "touch" && document.activeElement !== svg) hideCursor();
  });
  svg.addEventListener("dblclick", () => setZoom(chart, null));
  svg.addEventListener("blur", hideCursor);
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (onKey(chart, event.key, event.shiftKey)) event.preventDefault();
  });
}

function onKey(chart, key, far) {
  const view = inView(chart), last = view.length - 1;
  const now = cursor?.chart === chart ? view.indexOf(chart.places[cursor.index]) : -1;
  const by = far ? Math.max(1, Math.round(last / 10)) : 1;
  const targets = {
    ArrowRight: now < 0 ? 0 : now + by, ArrowLeft: now < 0 ? last : now - by, Home: 0, End: last,
    PageUp: now + Math.max(1, Math.round(last / 10)), PageDown: now - Math.max(1, Math.round(last / 10)),
  };
  if (key in targets) {
    if (last >= 0) showAt(chart, chart.places.indexOf(view[Math.min(last, Math.max(0, targets[key]))]), true);
  } else if (key === "+" || key === "=") zoomBy(chart, 0.5);
  else if (key === "-" || key === "_") zoomBy(chart, 2);
  else if (key === "0" || key === "Escape") setZoom(chart, null);
  else if (key === "l" && chart.scale) setLog(chart, !isLog(chart));
  else return false;
  return true;
}

// Shows half or twice as much of a chart's axis, about the crosshair where there is one.
function zoomBy(chart, factor) {
  const [from, to] = chart.range, [low, high] = chart.whole, log = chart.axis?.log;
  const up = log ? Math.log : (x) => x, down = log ? Math.exp : (x) => x;
  const middle = cursor?.chart === chart ? up(chart.places[cursor.index]) : (up(from) + up(to)) / 2;
  const share = (middle - up(from)) / (up(to) - up(from)), length = (up(to) - up(from)) * factor;
  const range = [middle - share * length, middle + (1 - share) * length].map(down);
  if (range[0] <= low && range[1] >= high) return setZoom(chart, null);
  setZoom(chart, [Math.max(low, range[0]), Math.min(high, range[1])]);
}

// ---- numbers as a file

function csv(chart) {
  const rows = new Map(), quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  if (!chart.byStep) {
    const found = chart.lines.flatMap((line) => line.values.map((value, i) => [line.labels?.[i] ?? line.name, line.steps[i], value ?? "nan"]));
    const x = (value) => (chart.axis.words ? chart.axis.words[value] : value);
    return [["", chart.axis.name, chart.title], ...found.map(([name, at, value]) => [name, x(at), value])].map((row) => row.map(String).map(quoted).join(",")).join("\n") + "\n";
  }
  chart.lines.forEach((line, column) =>
    line.steps.forEach((step, i) => {
      if (!rows.has(step)) rows.set(step, chart.lines.map(() => ""));
      rows.get(step)[column] = line.values[i] ?? "nan";
    }),
  );
  const one = DATA.runs.length === 1 && DATA.runs[0].per, extra = one ? ["epoch", ...(DATA.runs[0].examples ? ["examples"] : [])] : [];
  const lines = [["step", ...extra, ...chart.lines.map((line) => quoted(line.name))]];
  for (const step of [...rows.keys()].sort((a, b) => a - b)) lines.push([step, ...extra.map((unit) => placeOf(0, step, unit)), ...rows.get(step)]);
  return lines.map((row) => row.join(",")).join("\n") + "\n";
}

function download(chart) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(chart)], { type: "text/csv" }));
  link.download = `${DATA.name}-${chart.key}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- the bar above the charts

const bar = {};
const stepCharts = () => Object.values(charts).filter((chart) => chart.byStep);

function makeBar() {
  const box = document.querySelector(".tools");
  if (!box || !stepCharts().length) return;
  box.hidden = false;
  const units = Object.keys(UNITS).filter((unit) => DATA.runs.every((run) => unit === "step" || (run.per && (unit === "epoch" || run.examples))));
  if (units.length > 1) {
    const group = element(box, "span", "units", "x ");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "what the axis counts");
    bar.units = units.map((unit) => {
      const button = element(group, "button", "", UNITS[unit], { type: "button" });
      button.addEventListener("click", () => setUnit(unit));
      return [unit, button];
    });
  }
  const lines = stepCharts().flatMap((chart) => chart.lines).filter((line) => line.window > 1);
  if (lines.length) {
    bar.longest = Math.max(8, ...lines.map((line) => line.steps.at(-1) / 4));
    bar.usual = horizonPlace(Math.max(...lines.map((line) => line.window / 2)));
    const label = element(box, "label", "smoothing", "smoothing ");
    bar.slider = element(label, "input", "", undefined, { type: "range", min: 0, max: HORIZONS, step: 1 });
    bar.slider.addEventListener("input", () => ((state.smooth = horizon(Number(bar.slider.value))), changed()));
    bar.output = element(label, "output", "");
  }
  const runs = document.querySelector(".keys.runs");
  if (runs && DATA.runs.length <= 8) box.append(runs);
  const zoom = element(box, "span", "zooming");
  for (const [text, title, factor] of [["−", "show more", 2], ["+", "show less, about the crosshair", 0.5]]) {
    const button = element(zoom, "button", "", text, { type: "button", title });
    button.setAttribute("aria-label", title);
    button.addEventListener("click", () => zoomBy(cursor?.chart.byStep ? cursor.chart : stepCharts()[0], factor));
    button.addEventListener("pointerdown", (event) => event.preventDefault());
  }
  bar.all = element(zoom, "button", "", "show all", { type: "button", title: "undo the zoom" });
  bar.all.addEventListener("click", () => setZoom(stepCharts()[0], null));
  bar.reset = element(box, "button", "", "reset", { type: "button", title: "as the page was at first" });
  bar.reset.addEventListener("click", () => ((state = begin()), changed()));
}

const horizon = (place) => (place === 0 ? 0 : Number((2 * (bar.longest / 2) ** ((place - 1) / (HORIZONS - 1))).toPrecision(2)));
const horizonPlace = (steps) =>
  steps <= 0 ? 0 : Math.min(HORIZONS, Math.max(1, Math.round(1 + ((HORIZONS - 1) * Math.log(steps / 2)) / Math.log(bar.longest / 2))));

function setUnit(unit) {
  const zoom = state.zoom[""];
  if (zoom) {
    const { per, examples } = DATA.runs[0], size = { step: 1, epoch: 1 / per, examples: examples / per };
    state.zoom[""] = zoom.map((x) => (x * size[unit]) / size[state.x]);
  }
  state.x = unit;
  changed();
}

function showBar() {
  for (const [unit, button] of bar.units ?? []) button.setAttribute("aria-pressed", unit === state.x);
  if (bar.slider) {
    bar.slider.value = state.smooth === null ? bar.usual : horizonPlace(state.smooth);
    const text = state.smooth === null ? "running mean" : state.smooth === 0 ? "none" : `over ${written(state.smooth)} steps`;
    bar.output.textContent = text;
    bar.slider.setAttribute("aria-valuetext", text);
  }
  if (bar.all) bar.all.disabled = !state.zoom[""];
  if (bar.reset) bar.reset.disabled = !address();
}

// ---- the address holds what is seen

function address() {
  const parts = [];
  if (state.x !== "step") parts.push(["x", state.x]);
  if (state.smooth !== null) parts.push(["smooth", state.smooth]);
  for (const [key, [from, to]] of Object.entries(state.zoom)) parts.push([key ? `zoom.${key}` : "zoom", `${Number(from.toPrecision(6))}~${Number(to.toPrecision(6))}`]);
  for (const [key, on] of Object.entries(state.log)) parts.push([`log.${key}`, on ? 1 : 0]);
  if (state.hidden.size) parts.push(["hide", [...state.hidden].sort().join(",")]);
  return parts.map(([key, value]) => `${key}=${value}`).join("&");
}

function fromAddress() {
  const found = begin(), switches = new Set([...document.querySelectorAll("[data-switch]")].map((one) => one.dataset.switch));
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    const [kind, name] = key.split(/\.(.*)/);
    if (key === "x" && (bar.units ?? []).some(([unit]) => unit === value)) found.x = value;
    else if (key === "smooth" && value !== "" && Number(value) >= 0 && Number.isFinite(Number(value))) found.smooth = Number(value);
    else if (kind === "log" && charts[name]?.scale) found.log[name] = value === "1";
    else if (key === "hide") value.split(",").filter((one) => switches.has(one)).forEach((one) => found.hidden.add(one));
    else if (kind === "zoom" && (name === undefined || charts[name])) {
      const range = value.split("~").map(Number);
      if (range.length === 2 && range.every(Number.isFinite) && range[0] < range[1]) found.zoom[name ?? ""] = range;
    }
  }
  return found;
}

function renderAll() {
  hideCursor();
  Object.values(charts).forEach(render);
  for (const key of document.querySelectorAll("[data-switch]")) key.setAttribute("aria-pressed", !state.hidden.has(key.dataset.switch));
  showBar();
}

function changed() {
  const kept = cursor, text = address();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  const x = kept && kept.chart.places[kept.index];
  renderAll();
  if (kept && document.activeElement === kept.chart.svg) {
    const view = inView(kept.chart);
    if (view.length) showAt(kept.chart, kept.chart.places.indexOf(view[nearest(view, x)]), false);
  }
}

// ---- everything together

for (const key of document.querySelectorAll("[data-run]")) makeSwitch(key, `run.${key.dataset.run}`);
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const key = figure.dataset.chart;
  if (DATA.charts[key]) charts[key] = makeChart(key, DATA.charts[key], figure);
}
makeBar();
state = fromAddress();
renderAll();
window.addEventListener("hashchange", () => {
  if (!location.hash || location.hash.includes("=")) {
    state = fromAddress();
    renderAll();
  }
});
let width = document.querySelector("main").clientWidth;
new ResizeObserver(([entry]) => {
  if (Math.round(entry.contentRect.width) === width) return;
  width = Math.round(entry.contentRect.width);
  renderAll();
}).observe(document.querySelector("main"));
