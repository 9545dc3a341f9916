// One chart: its elements, what it shows now, and how it is drawn.
// ---- elements

const SVG = "http://www.w3.org/2000/svg";
function draw(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = say(text);
  parent.append(made);
  return made;
}
function element(parent, name, kind, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = say(text);
  if (made.title) made.title = say(made.title);
  parent.append(made);
  return made;
}
const paint = (line) => (line.lost ? "var(--warn)" : `var(--line-${line.colour})`);
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
  chart.svg.setAttribute("aria-roledescription", say("chart"));
  chart.svg.setAttribute("aria-label", `${say(data.title)}. ${say("Arrow keys read its values, plus and minus zoom, 0 shows all.")}`);
  chart.tip = element(chart.box, "div", "tip", undefined, { hidden: true });
  chart.tip.setAttribute("role", "status");
  chart.said = figure.querySelector(".as-drawn");
  makeButtons(chart);
  listen(chart);
  return chart;
}

function makeButtons(chart) {
  const head = chart.figure.querySelector(".head"), box = element(head, "span", "buttons");
  const heights = chart.lines.flatMap((line) => line.values).filter((value) => value !== null);
  if (!chart.axis?.ends && heights.some((value) => value > 0) && heights.every((value) => value >= 0)) {
    chart.scale = element(box, "button", "scale", "log", { type: "button", title: "logarithmic axis" });
    chart.scale.addEventListener("click", () => setLog(chart, !isLog(chart)));
  }
  if (!chart.axis?.ends) {
    const csv = element(box, "button", "csv", "CSV", { type: "button", title: "download the numbers of this plot" });
    csv.addEventListener("click", () => download(chart));
  }
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
  const low = chart.byStep ? 0 : Math.min(...chart.places), last = chart.places.at(-1) ?? 1;
  const high = chart.byStep && last === 0 ? 1 : last; // of a single step, whose place is 0
  chart.whole = xLog
    ? [low / (high / low || 1) ** 0.04 / 1.05, high * (high / low || 1) ** 0.04 * 1.05]
    : [low - (chart.byStep ? 0.01 : 0.05) * (high - low || 1), high + (chart.byStep ? 0.01 : 0.05) * (high - low || 1)];
  const edge = chart.axis?.ends ? 0.25 : 0.5;
  if (chart.axis?.words) chart.whole = [-edge, chart.axis.words.length - 1 + edge];
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
    // beyond these powers of ten a step of the axis would be 0 or infinite
    const [bottom, top] = [Math.max(-250, Math.log10(low)), Math.min(250, Math.log10(high))], room = 0.05 * (top - bottom);
    return bottom >= top ? [low / 2, high * 2] : [10 ** (bottom - room), 10 ** (top + room)];
  }
  if (chart.heights && !log) return chart.heights;
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
  const part = (value, a, b, logarithmic) => (logarithmic ? (Math.log(value) - Math.log(a)) / (Math.log(b) - Math.log(a)) : (value - a) / (b - a));
  chart.x = (value) => left + part(value, from, to, xLog) * inner[0];
  chart.y = (value) => (log && value <= 0 ? top + inner[1] + 20 : top + (1 - part(value, low, high, log)) * inner[1]);
  chart.back = (pixel) => {
    const share = (pixel - left) / inner[0];
    return xLog ? Math.exp(Math.log(from) + share * (Math.log(to) - Math.log(from))) : from + share * (to - from);
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
    chart.scale.textContent = say(log ? "log" : "linear");
    chart.scale.title = say(log ? "show a linear axis" : "show a logarithmic axis");
  }
}

// The sentences on how the chart is drawn, in the place of those on how it was drawn beforehand.
function describe(chart, log) {
  const said = log ? [say("Logarithmic scale.")] : [], even = chart.shown.filter(({ line }) => line.window > 1);
  if (even.length && state.smooth !== 0) {
    const faint = even.some((one) => one.raw), one = new Set(even.map(({ line }) => line.window)).size === 1;
    const over = say(state.smooth !== null ? `exponential mean over ${written(state.smooth)} steps`
      : one ? `running mean over ${even[0].line.window} values` : "running mean over about a fortieth of each run");
    const all = even.length === chart.shown.length, whose = all ? "" : `${even.map(({ line }) => say(line.name)).join(", ")}: `;
    said.push(faint ? `${say("Faint: every value. Line:")} ${over}.` : `${(whose + over)[0].toUpperCase()}${(whose + over).slice(1)}.`);
  }
  if (chart.cut) said.push(say("The beginning lies below the frame."));
  if (chart.note) said.push(say(chart.note));
  if (chart.said && document.documentElement.lang === "en") chart.said.textContent = said.join(" ");
}

function axes(chart, log, [low, high]) {
  const { svg, frame } = chart, [from, to] = chart.range, wide = frame.right - frame.left;
  if (chart.axis?.ends) return uprights(chart);
  for (const value of log ? logTicks(low, high, 6) : linearTicks(low, high, 5)) {
    const y = chart.y(value);
    draw(svg, "line", { x1: frame.left, x2: frame.right, y1: y, y2: y, class: "grid" });
    draw(svg, "text", { x: frame.left - 8, y: y + 4, class: "tick y" }, tickText(value, chart.percent));
  }
  draw(svg, "line", { x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom, class: "axis" });
  const words = chart.axis?.words, least = chart.byStep && state.x !== "epoch" ? 1 : 0;
  const ticks = words ? words.map((_, i) => i).filter((i) => i >= from && i <= to)
    : chart.axis?.log ? logTicks(from, to, wide / 70) : linearTicks(Math.max(from, chart.byStep ? 0 : -Infinity), to, Math.max(2, Math.floor(wide / 66)), least);
  for (const value of ticks) {
    const x = chart.x(value);
    draw(svg, "line", { x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 3, class: "axis" });
    draw(svg, "text", { x, y: frame.bottom + 16, class: "tick x" }, words ? words[value] : tickText(value));
  }
  draw(svg, "text", { x: frame.right, y: frame.bottom + 32, class: "tick name" }, chart.axis?.name ?? UNITS[state.x]);
}

// The axes of parallel coordinates: each upright, with what stands at its foot and its top.
function uprights(chart) {
  const { svg, frame } = chart, { words, ends } = chart.axis;
  ends.forEach(([foot, top], i) => {
    const x = chart.x(i), anchor = x < frame.left + 30 ? "start" : "middle";
    draw(svg, "line", { x1: x, x2: x, y1: chart.y(0), y2: chart.y(1), class: "axis" });
    for (const [text, y] of [[top, chart.y(1) - 6], [foot, chart.y(0) + 13]]) draw(svg, "text", { x, y, class: "tick x" }, text).style.textAnchor = anchor;
    const name = draw(svg, "text", { x, y: frame.bottom + 16 + (frame.width < 500 && i % 2 ? 15 : 0), class: "tick x" }, words[i]);
    name.style.textAnchor = anchor;
  });
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
  if (line.alpha) made.style.opacity = line.alpha;
  return made;
}

function drawLine(chart, parent, { line, places, values }) {
  if (line.marks === undefined) path(chart, parent, line, places, values, "line");
  if (line.joined) path(chart, parent, line, places, values, "strand").dataset.line = line.index;
  const [from, to] = chart.range, few = places.filter((x) => x >= from && x <= to).length < 120;
  values.forEach((value, i) => {
    const lonely = value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
    if (line.marks !== undefined) point(parent, line, chart.x(places[i]), value === null ? chart.frame.bottom - 6 : chart.y(value), line.sizes?.[i] ?? line.size);
    else if (value !== null && (lonely || (line.dots && few))) point(parent, line, chart.x(places[i]), chart.y(value), few && line.dots ? 2.4 : 1.8);
  });
}

function point(parent, line, x, y, radius = 3.4) {
  if (line.marks === "cross") {
    draw(parent, "path", { d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`, class: "lost" });
    return;
  }
  if (line.marks === "bar") {
    draw(parent, "path", { d: `M${x - 8} ${y}L${x + 8} ${y}`, class: "line" }).style.stroke = paint(line);
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
    const text = chart.percent ? percentText(value) : tickText(Number(value.toPrecision(3)));
    draw(chart.svg, "text", { x: frame.right + 6, y: y + 4, class: "end" }, text).style.fill = paint(line);
  }
}
