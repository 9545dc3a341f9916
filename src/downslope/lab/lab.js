// The page: sliders and their address, the plots, the numbers; everything is drawn again when one of them moves.
const SCALES = {
  lr: logScale(1e-4, 10),
  momentum: { value: (t) => 1 - 10 ** (-3 * t), place: (m) => -Math.log10(1 - m) / 3 },
  weight_decay: {
    value: (t) => (t === 0 ? 0 : logScale(1e-6, 1).value(t)),
    place: (x) => (x === 0 ? 0 : logScale(1e-6, 1).place(x)),
  },
  dampening: { value: (t) => t, place: (x) => x },
  nu: { value: (t) => t, place: (x) => x },
  along: logScale(1e-3, 10),
  across: logScale(1e-2, 1000),
  steps: logScale(10, 2000),
};
const LIMITS = {
  lr: [0, 1e6], momentum: [0, 0.999999], weight_decay: [0, 1e6], dampening: [0, 1], nu: [0, 1], along: [1e-9, 1e9], across: [1e-9, 1e9], steps: [1, 5000],
};
const CHOICES = ["decay", "schedule"];
const { course: _, ...NUMBERS } = BEGIN;
let state = { ...NUMBERS };

// Three digits are enough of a number that a hand sets; of momentum, two of what it lacks to 1.
function rounded(name, value) {
  if (name === "momentum") return Number((1 - Number((1 - value).toPrecision(2))).toFixed(6));
  if (name === "steps") return Math.round(Number(value.toPrecision(2)));
  return name === "dampening" || name === "nu" ? Number(value.toFixed(2)) : Number(value.toPrecision(3));
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)), found = { ...NUMBERS };
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    const text = given.get(name), value = Number(text);
    if (text && Number.isFinite(value) && value >= low && value <= high) found[name] = name === "steps" ? Math.round(value) : value;
  }
  for (const name of CHOICES) {
    if ([...byId(name).options].some((option) => option.value === given.get(name))) found[name] = given.get(name);
  }
  if (given.has("nesterov")) found.nesterov = given.get("nesterov") === "true";
  return found.nesterov ? { ...found, nu: 1 } : found;
}

function toAddress() {
  const changed = Object.entries(state).filter(([name, value]) => value !== NUMBERS[name]);
  const text = changed.map(([name, value]) => `${name}=${value}`).join("&");
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // within another document, such as a notebook, a page has no address of its own
  }
}

// ---- the plots

// Rings are where the loss is 1, 1/10, 1/100, ... of that at the start.
function drawValley(paths, curvatures) {
  const plot = begin("valley"), { pen, width, height } = plot;
  const reach = [1.2, Math.min(1.2, Math.max(0.36, 2.4 * Math.sqrt(curvatures[0] / curvatures[1])))];
  const at = ([x, y]) => [((x / reach[0] + 1) / 2) * width, ((1 - y / reach[1]) / 2) * height];
  const first = lossOf(START, curvatures);
  clipped(plot, () => {
    const named = [];
    for (let half = 4; half >= -8; half--) {
      const radii = curvatures.map((curvature) => Math.sqrt((2 * first * 10 ** (half / 2)) / curvature));
      pen.strokeStyle = colour("--rule");
      pen.lineWidth = half % 2 ? 0.7 : 1.4;
      pen.beginPath();
      pen.ellipse(width / 2, height / 2, (radii[0] / reach[0] / 2) * width, (radii[1] / reach[1] / 2) * height, 0, 0, 2 * Math.PI);
      pen.stroke();
      const place = radii[0] < 0.95 * reach[0] ? [radii[0], 0] : [reach[0] * 0.55, radii[1] * Math.sqrt(Math.max(0, 1 - ((reach[0] * 0.55) / radii[0]) ** 2))];
      if (half % 2 === 0 && radii[0] > 0.2 * reach[0] && place[1] < 0.92 * reach[1]) {
        const [x, y] = at(place);
        named.push([powerOf(half / 2), [x + 3, place[1] ? y - 3 : y + 13]]);
      }
    }
    for (const [path, style, opacity] of paths) {
      const seen = path.filter((point) => point.every((x) => Math.abs(x) < 1e6)).map(at);
      pen.globalAlpha = opacity;
      line(pen, seen, style, 1.2);
      pen.globalAlpha = 1;
      if (seen.length <= 400) seen.forEach(([x, y]) => dot(pen, x, y, 2, style));
      if (seen.length) dot(pen, ...seen[seen.length - 1], 4.5, style);
    }
    const [x, y] = at([0, 0]);
    line(pen, [[x - 7, y], [x + 7, y]], colour("--ink"), 1.8);
    line(pen, [[x, y - 7], [x, y + 7]], colour("--ink"), 1.8);
    dot(pen, ...at(START), 4.5, colour("--ink"));
    for (const [text, place] of named) label(pen, text, place);
    label(pen, WORDS.start, [at(START)[0] + 8, at(START)[1] - 8]);
    label(pen, WORDS.minimum, [x + 8, y - 8]);
  });
  const far = reach[1] < 0.6 ? 0.3 : reach[1] < 1 ? 0.5 : 1, tick = (value, i) => [(value / reach[i] + 1) / 2, written(value)];
  axes(plot, [-1, 0, 1].map((v) => tick(v, 0)), [-far, 0, far].map((v) => tick(v, 1)), "x", "y");
}

const REGIMES = { rows: 72, columns: 110 };

function drawDamping(settings, curvatures, rows) {
  const plot = begin("damping"), scale = logScale(1e-4, 30), { nesterov, nu, dampening } = settings;
  fill(plot, REGIMES, `${nesterov} ${nu} ${dampening}`, (x, y) => {
    const one = { ...STILL, nesterov, nu, dampening, lr: scale.value(x), momentum: SCALES.momentum.value(y) };
    return [colour(KINDS[settle(one, 1).kind]), 0.32];
  });
  clipped(plot, () => {
    for (const curvature of curvatures) {
      const place = (one) => [scale.place(one.lr * curvature), SCALES.momentum.place(one.momentum)];
      mark(plot, place(settings), rows.map(place));
    }
  });
  const powers = [-4, -3, -2, -1, 0, 1].map((p) => [scale.place(10 ** p), powerOf(p)]);
  const momenta = [0, 0.9, 0.99, 0.999].map((m) => [SCALES.momentum.place(m), String(m)]);
  axes(plot, powers, momenta, WORDS.x_lr_curvature, WORDS.momentum);
  keys("damping", Object.keys(KINDS).map((kind) => [WORDS[kind], colour(KINDS[kind])]));
}

const BANDS = [10, 100, 1e3, 1e4, 1e5, Infinity];
const shades = BANDS.map((_, i) => 0.66 - 0.12 * i);
const MEMORY = { rows: 48, columns: 72 };

function drawTimescale(settings, rows) {
  const plot = begin("timescale"), decays = logScale(1e-6, 1), [paint, grows] = [colour("--line-0"), colour(KINDS.grows)];
  const { momentum, nesterov, nu, dampening, decay } = settings;
  fill(plot, MEMORY, `${momentum} ${nesterov} ${nu} ${dampening} ${decay}`, (x, y) => {
    const one = settle({ momentum, nesterov, nu, dampening, decay, lr: SCALES.lr.value(x), weight_decay: decays.value(y) }, 0);
    return one.kind === "grows" ? [grows, 0.32] : [paint, shades[BANDS.findIndex((band) => stepsFor(one.size, Math.E) <= band)]];
  });
  clipped(plot, () => {
    const place = (one) => [SCALES.lr.place(one.lr), decays.place(one.weight_decay)];
    if (settings.weight_decay > 0) mark(plot, place(settings), rows.map(place));
  });
  const powers = [-4, -3, -2, -1, 0, 1].map((p) => [SCALES.lr.place(10 ** p), powerOf(p)]);
  axes(plot, powers, [-6, -4, -2, 0].map((p) => [decays.place(10 ** p), powerOf(p)]), WORDS.lr, WORDS.weight_decay);
  const names = BANDS.map((band, i) => (band === Infinity ? `> ${written(BANDS[i - 1])}` : `≤ ${written(band)}`));
  const shade = (i) => `color-mix(in srgb, ${paint} ${100 * shades[i]}%, ${colour("--paper")})`;
  keys("timescale", [...names.map((name, i) => [`${name} ${WORDS.steps_unit}`, shade(i)]), [WORDS.grows, grows]]);
}

// lr and what follows from it over the run, and how long weights then remember.
function drawRun({ unit, times, rows, per_epoch }) {
  const name = WORDS[`x_${unit}`], effective = rows.map(effectiveLr);
  const range = (values, show = written) => [...new Set([values[0], values[values.length - 1]].map(show))].join(" → ");
  const lrs = rows.map((row) => row.lr);
  drawCurves("run", [[times, lrs, colour("--line-0"), 2], [times, effective, colour("--line-1"), 2]], evenTicks, name, WORDS.lr, 5);
  keys("run", [[`${WORDS.lr} ${range(lrs)}`, colour("--line-0")], [`${WORDS.effective_lr} ${range(effective)}`, colour("--line-1")]]);
  const forgets = rows.map((row) => (row.weight_decay > 0 ? stepsFor(settle(row, 0).size, Math.E) : Infinity) / (per_epoch ?? 1));
  drawCurves("memory", [[times, forgets, colour("--line-0"), 2]], evenTicks, name, per_epoch ? WORDS.epochs : WORDS.steps_unit, 6);
  const said = state.weight_decay > 0 ? `${range(forgets, (one) => written(roughly(one)))} ${per_epoch ? WORDS.epochs : WORDS.steps_unit}` : WORDS.no_decay;
  keys("memory", [[said, colour("--line-0")]]);
}

// ---- the numbers, and everything together

// Times, which formulas give to a percent, in two digits.
const roughly = (value) => Number(value.toPrecision(2));

function numbers(settings, curvatures, left) {
  const [along, across] = curvatures.map((curvature) => settle(settings, curvature));
  const whole = (steps) => (Number.isFinite(steps) ? written(Math.max(1, Math.round(roughly(steps)))) : WORDS.never);
  const halving = (one) => (one.kind === "grows" ? WORDS.diverges : whole(stepsFor(one.size, 2)));
  const forgets = settings.weight_decay > 0 ? whole(stepsFor(settle(settings, 0).size, Math.E)) : WORDS.never;
  const rows = [
    [WORDS.effective_lr, written(effectiveLr(settings)), WORDS.effective_lr_about],
    [WORDS.horizon, written(1 / (1 - settings.momentum)), WORDS.horizon_about],
    [WORDS.largest_lr, written(largestLr(settings, curvatures[1])), WORDS.largest_lr_about],
    [WORDS.after, written(left), WORDS.after_about],
    [WORDS.halves_along, halving(along), `${WORDS.steps_unit} · ${WORDS[along.kind]}`],
    [WORDS.halves_across, halving(across), `${WORDS.steps_unit} · ${WORDS[across.kind]}`],
    [WORDS.forgets, forgets, settings.weight_decay > 0 ? WORDS.steps_unit : WORDS.no_decay],
  ];
  byId("numbers").replaceChildren(
    ...rows.map(([name, value, more]) => {
      const row = document.createElement("div");
      for (const [kind, text, style] of [["dt", name, ""], ["dd", value, "value"], ["dd", more, "more"]]) {
        const part = document.createElement(kind);
        part.textContent = text;
        if (style) part.className = style;
        row.append(part);
      }
      return row;
    }),
  );
}

function code(settings) {
  const parts = [`lr=${settings.lr}`];
  for (const name of ["momentum", "dampening", "weight_decay"]) if (settings[name]) parts.push(`${name}=${settings[name]}`);
  if (settings.nesterov) parts.push("nesterov=True");
  if (settings.nu !== 1) parts.push(`nu=${settings.nu}`);
  const others = settings.decay !== "coupled" && settings.weight_decay > 0;
  if (others) parts.push(`decay="${settings.decay}"`);
  const ours = others || settings.nu !== 1 || (settings.nesterov && settings.dampening > 0) || (settings.nesterov && !settings.momentum);
  const lines = [`optimizer = ${ours ? "downslope.torch" : "torch.optim"}.SGD(model.parameters(), ${parts.join(", ")})`];
  const scheduler = settings.schedule === "own" ? "" : SCHEDULES[settings.schedule].torch;
  if (scheduler) lines.push(`scheduler = ${scheduler}`);
  if (settings.schedule === "own") lines.push(`# ${WORDS.code_own}`);
  byId("code").textContent = lines.join("\n");
}

function draw() {
  measure();
  const curvatures = [Math.min(state.along, state.across), Math.max(state.along, state.across)], { steps } = state;
  const paths = [state, bestPlain(curvatures), bestHeavyBall(curvatures)].map((one) => run(one, curvatures, START, steps));
  const first = lossOf(START, curvatures), losses = paths.map((path) => path.map((point) => lossOf(point, curvatures) / first));
  const [own, plain, ball] = ["--line-0", "--line-1", "--soft"].map(colour), xs = paths[0].map((_, n) => n);
  drawValley([[paths[1], plain, 0.35], [paths[0], own, 1]], curvatures);
  drawCurves("course", [[xs, losses[2], ball, 1.2], [xs, losses[1], plain, 1.8], [xs, losses[0], own, 1.8]], evenTicks, WORDS.x_step, "f / f₀", 16);
  const end = (i) => written(losses[i][steps]);
  const named = [[`${WORDS.yours}: ${end(0)}`, own], [`${WORDS.plain}: ${end(1)}`, plain]];
  keys("valley", named);
  keys("course", [...named, [`${WORDS.ball}: ${end(2)}`, ball]]);
  const course = courseOf(state);
  drawDamping(state, curvatures, course.rows);
  drawTimescale(state, course.rows);
  drawRun(course);
  numbers(state, curvatures, losses[0][steps]);
  code(state);
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function say(name) {
  byId(`${name}-value`).textContent = written(state[name]);
  byId(name).setAttribute("aria-valuetext", written(state[name]));
}

function show() {
  for (const [name, scale] of Object.entries(SCALES)) {
    byId(name).value = Math.round(1000 * Math.min(1, Math.max(0, scale.place(state[name]))));
    say(name);
  }
  byId("nesterov").checked = state.nesterov;
  for (const name of CHOICES) byId(name).value = state[name];
  redraw();
}

function changed(name, value) {
  state = { ...state, [name]: value };
  // two forms of momentum, of which a step has one
  if (name === "nesterov" && value && state.nu !== 1) {
    state.nu = 1;
    show();
  }
  if (name === "nu" && value !== 1) byId("nesterov").checked = state.nesterov = false;
  toAddress();
  if (name in SCALES) say(name);
  redraw();
}

for (const [name, scale] of Object.entries(SCALES)) {
  byId(name).addEventListener("input", (event) => changed(name, rounded(name, scale.value(event.target.value / 1000))));
}
byId("nesterov").addEventListener("change", (event) => changed("nesterov", event.target.checked));
for (const name of CHOICES) byId(name).addEventListener("change", (event) => changed(name, event.target.value));
byId("reset").addEventListener("click", () => {
  state = { ...NUMBERS };
  toAddress();
  show();
});
window.addEventListener("hashchange", () => {
  if (location.hash && !location.hash.includes("=")) return; // a place on the page
  state = fromAddress();
  show();
});
function restyle() {
  readColours();
  redraw();
}
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
document.getElementById("lab").hidden = false;
document.documentElement.classList.add("live");
readColours();
state = fromAddress();
show();
draw();
