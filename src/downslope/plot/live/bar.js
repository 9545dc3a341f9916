// The bar above the charts, the address that holds what is seen, and the beginning of it all.
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
    group.setAttribute("aria-label", say("what the axis counts"));
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
    button.setAttribute("aria-label", say(title));
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
    bar.output.textContent = say(text);
    bar.slider.setAttribute("aria-valuetext", say(text));
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
document.addEventListener("toggle", renderAll, true); // what was folded had no width
let width = document.querySelector("main").clientWidth;
new ResizeObserver(([entry]) => {
  if (Math.round(entry.contentRect.width) === width) return;
  width = Math.round(entry.contentRect.width);
  renderAll();
}).observe(document.querySelector("main"));
