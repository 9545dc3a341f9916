// What stands above this file: scalars(settings) and step(param, grad, velocity, s), written out of the rule itself;
// BEGIN, the numbers to begin with; WORDS, the page's language.
const STEPS = 120;
const START = [-1, 0.25];
const byId = (id) => document.getElementById(id);

// ---- what follows from the rule

// The step of one direction of curvature `curvature`, as a matrix on (param, velocity).
function matrix(settings, curvature) {
  const s = scalars(settings);
  const [dp, vp] = step(1, 0, 0, s), [dg, vg] = step(0, 1, 0, s), [dv, vv] = step(0, 0, 1, s);
  return [1 + dp + dg * curvature, dv, vp + vg * curvature, vv];
}

// How a direction settles: the larger root of its matrix, by size, and its kind.
function settle(settings, curvature) {
  const [a, b, c, d] = matrix(settings, curvature);
  const half = (a + d) / 2, gap = half * half - (a * d - b * c);
  if (gap < -1e-15) {
    const size = Math.sqrt(a * d - b * c);
    return { size, kind: size > 1 ? "grows" : "swings" };
  }
  const root = half + (half < 0 ? -1 : 1) * Math.sqrt(Math.max(gap, 0)), size = Math.abs(root);
  return { size, kind: size > 1 + 1e-12 ? "grows" : root < 0 ? "jumps" : "creeps" };
}

// Positions of a parameter in each of several directions, from a start at rest.
function run(settings, curvatures, start, steps) {
  const s = scalars(settings), first = scalars({ ...settings, dampening: 0 });
  let params = [...start], velocities = start.map(() => 0);
  const path = [params];
  for (let n = 0; n < steps; n++) {
    const moved = params.map((param, i) => step(param, curvatures[i] * param, velocities[i], n ? s : first));
    params = params.map((param, i) => param + moved[i][0]);
    velocities = moved.map((one) => one[1]);
    path.push(params);
  }
  return path;
}

const lossOf = (point, curvatures) => point.reduce((sum, x, i) => sum + (curvatures[i] * x * x) / 2, 0);

function effectiveLr(settings) {
  const s = scalars({ ...settings, weight_decay: 0 });
  const [dg, vg] = step(0, 1, 0, s), [dv, vv] = step(0, 0, 1, s);
  return -(dg + (dv * vg) / (1 - vv));
}

function largestLr(settings, curvature) {
  let low = Math.log(1e-9 / curvature), high = Math.log(1e4 / curvature);
  for (let n = 0; n < 60; n++) {
    const middle = (low + high) / 2;
    if (settle({ ...settings, lr: Math.exp(middle), weight_decay: 0 }, curvature).size <= 1) low = middle;
    else high = middle;
  }
  return Math.exp(low);
}

// Steps in which a root of this size makes a distance smaller by the factor `by`.
const stepsFor = (size, by) => (size >= 1 ? Infinity : size === 0 ? 0 : Math.log(by) / -Math.log(size));

// ---- the numbers, their sliders, the address

const logScale = (low, high) => ({
  value: (t) => low * (high / low) ** t,
  place: (x) => Math.log(x / low) / Math.log(high / low),
});
const SCALES = {
  lr: logScale(1e-4, 10),
  momentum: { value: (t) => 1 - 10 ** (-3 * t), place: (m) => -Math.log10(1 - m) / 3 },
  weight_decay: {
    value: (t) => (t === 0 ? 0 : logScale(1e-6, 1).value(t)),
    place: (x) => (x === 0 ? 0 : logScale(1e-6, 1).place(x)),
  },
  dampening: { value: (t) => t, place: (x) => x },
  along: logScale(1e-3, 10),
  across: logScale(1e-2, 1000),
};
const LIMITS = { lr: [0, 1e6], momentum: [0, 0.999999], weight_decay: [0, 1e6], dampening: [0, 1], along: [1e-9, 1e9], across: [1e-9, 1e9] };
const DECAYS = [...byId("decay").options].map((option) => option.value);
let state = { ...BEGIN };

// Three digits are enough of a number that a hand sets; of momentum, two of what it lacks to 1.
function rounded(name, value) {
  if (name === "momentum") return Number((1 - Number((1 - value).toPrecision(2))).toFixed(6));
  return name === "dampening" ? Number(value.toFixed(2)) : Number(value.toPrecision(3));
}

function written(value) {
  if (value === Infinity || Number.isNaN(value)) return "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [digits, power] = value.toExponential(2).split("e");
    return `${Number(digits)}e${Number(power)}`;
  }
  return size >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)), found = { ...BEGIN };
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    const text = given.get(name), value = Number(text);
    if (text && Number.isFinite(value) && value >= low && value <= high) found[name] = value;
  }
  if (DECAYS.includes(given.get("decay"))) found.decay = given.get("decay");
  if (given.has("nesterov")) found.nesterov = given.get("nesterov") === "true";
  return found;
}

function toAddress() {
  const changed = Object.entries(state).filter(([name, value]) => value !== BEGIN[name]);
  const text = changed.map(([name, value]) => `${name}=${value}`).join("&");
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// ---- drawing

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const KINDS = { creeps: "--line-0", swings: "--line-2", jumps: "--line-4", grows: "--line-1" };

// A canvas as sharp as the screen, with a plot's inside: 0..width by 0..height, below and left of it the axes.
function begin(id) {
  const canvas = byId(`${id}-plot`), box = canvas.getBoundingClientRect(), dots = window.devicePixelRatio || 1;
  const size = [Math.round(box.width * dots), Math.round(box.height * dots)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  pen.translate(58, 8);
  pen.font = `12px ${colour("--sans")}`;
  return { pen, width: box.width - 74, height: box.height - 46 };
}

function axes({ pen, width, height }, x, y, xName, yName) {
  pen.strokeStyle = colour("--soft");
  pen.fillStyle = colour("--soft");
  pen.lineWidth = 1;
  pen.strokeRect(0, 0, width, height);
  pen.textAlign = "center";
  for (const [place, text] of x) {
    pen.fillRect(place * width, height, 1, 4);
    pen.fillText(text, place * width, height + 17);
  }
  pen.fillText(xName, width / 2, height + 34);
  pen.textAlign = "right";
  for (const [place, text] of y) {
    pen.fillRect(-4, (1 - place) * height, 4, 1);
    pen.fillText(text, -7, (1 - place) * height + 4);
  }
  pen.save();
  pen.translate(-46, height / 2);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "center";
  pen.fillText(yName, 0, 0);
  pen.restore();
}

function clipped({ pen, width, height }, draw) {
  pen.save();
  pen.beginPath();
  pen.rect(0, 0, width, height);
  pen.clip();
  draw();
  pen.restore();
}

// Fills a map of columns by rows, whose cells touch and do not overlap.
function fill({ pen, width, height }, columns, rows, paint) {
  const edge = (place, count, length) => Math.round((place / count) * length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      [pen.fillStyle, pen.globalAlpha] = paint((column + 0.5) / columns, (row + 0.5) / rows, row * columns + column);
      const x = edge(column, columns, width), y = edge(rows - row - 1, rows, height);
      pen.fillRect(x, y, edge(column + 1, columns, width) - x, edge(rows - row, rows, height) - y);
    }
  }
  pen.globalAlpha = 1;
}

function line(pen, points, style, thick) {
  pen.strokeStyle = style;
  pen.lineWidth = thick;
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function dot(pen, x, y, radius, style) {
  pen.fillStyle = style;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function keys(id, rows) {
  byId(`${id}-keys`).replaceChildren(
    ...rows.map(([name, style]) => {
      const key = document.createElement("span"), swatch = document.createElement("i");
      key.className = "key";
      swatch.style.background = style;
      key.append(swatch, name);
      return key;
    }),
  );
}

function drawValley(paths, curvatures) {
  const plot = begin("valley"), { pen, width, height } = plot;
  const reach = [1.2, Math.min(1.2, Math.max(0.36, 2.4 * Math.sqrt(curvatures[0] / curvatures[1])))];
  const at = ([x, y]) => [((x / reach[0] + 1) / 2) * width, ((1 - y / reach[1]) / 2) * height];
  clipped(plot, () => {
    const top = lossOf([reach[0], reach[1]], curvatures);
    for (let n = 0; n < 9; n++) {
      const level = top / 2.6 ** n;
      pen.strokeStyle = colour("--rule");
      pen.lineWidth = 1.2;
      pen.beginPath();
      pen.ellipse(width / 2, height / 2, (Math.sqrt((2 * level) / curvatures[0]) / reach[0] / 2) * width,
        (Math.sqrt((2 * level) / curvatures[1]) / reach[1] / 2) * height, 0, 0, 2 * Math.PI);
      pen.stroke();
    }
    for (const [path, style] of paths) {
      const seen = path.filter((point) => point.every((x) => Math.abs(x) < 1e6)).map(at);
      line(pen, seen, style, 1.2);
      seen.forEach(([x, y]) => dot(pen, x, y, 2, style));
    }
    const [x, y] = at([0, 0]);
    line(pen, [[x - 6, y], [x + 6, y]], colour("--ink"), 1.5);
    line(pen, [[x, y - 6], [x, y + 6]], colour("--ink"), 1.5);
    dot(pen, ...at(START), 4.5, colour("--ink"));
    pen.fillStyle = colour("--ink");
    pen.textAlign = "left";
    pen.fillText(WORDS.start, at(START)[0] + 8, at(START)[1] - 8);
  });
  const tick = (value, i) => [(value / reach[i] + 1) / 2, written(value)];
  axes(plot, [-1, 0, 1].map((v) => tick(v, 0)), [-0.3, 0, 0.3].map((v) => tick(v, 1)), "x", "y");
}

function drawCourse(courses) {
  const plot = begin("course"), { pen, width, height } = plot;
  const values = courses.flatMap(([course]) => course).filter((value) => value > 0 && Number.isFinite(value));
  const low = Math.max(-16, Math.min(-1, Math.floor(Math.log10(Math.min(...values)))));
  const high = Math.min(12, Math.max(0, Math.ceil(Math.log10(Math.max(...values)))));
  clipped(plot, () => {
    for (const [course, style] of courses) {
      const points = course.map((value, n) => [n, value > 0 ? Math.log10(value) : low - 1]).filter(([, v]) => Number.isFinite(v));
      line(pen, points.map(([n, v]) => [(n / STEPS) * width, ((high - v) / (high - low)) * height]), style, 1.8);
    }
  });
  const powers = [];
  for (let p = low; p <= high; p += Math.max(1, Math.ceil((high - low) / 5))) powers.push([(p - low) / (high - low), p ? `1e${p}` : "1"]);
  axes(plot, [0, 40, 80, 120].map((n) => [n / STEPS, String(n)]), powers, WORDS.x_steps, "f / f₀");
}

const REGIMES = { low: 1e-4, high: 30, rows: 72, columns: 110, seen: "", kinds: [] };

function drawDamping(settings, curvatures) {
  const plot = begin("damping"), { pen, width, height } = plot, scale = logScale(REGIMES.low, REGIMES.high);
  const { rows, columns } = REGIMES, seen = `${settings.nesterov} ${settings.dampening}`;
  if (seen !== REGIMES.seen) {
    REGIMES.seen = seen;
    REGIMES.kinds = Array.from({ length: rows * columns }, (_, i) => {
      const lr = scale.value(((i % columns) + 0.5) / columns);
      const momentum = SCALES.momentum.value((Math.floor(i / columns) + 0.5) / rows);
      return settle({ ...settings, lr, momentum, weight_decay: 0 }, 1).kind;
    });
  }
  fill(plot, columns, rows, (x, y, i) => [PAINT[REGIMES.kinds[i]], 0.32]);
  clipped(plot, () => {
    for (const curvature of curvatures) {
      const x = Math.min(1, Math.max(0, scale.place(settings.lr * curvature))), y = SCALES.momentum.place(settings.momentum);
      dot(pen, x * width, (1 - Math.min(y, 1)) * height, 5.5, colour("--ink"));
      dot(pen, x * width, (1 - Math.min(y, 1)) * height, 3.5, colour("--paper"));
    }
  });
  const powers = [-4, -3, -2, -1, 0, 1].map((p) => [scale.place(10 ** p), p ? `1e${p}` : "1"]);
  const momenta = [0, 0.9, 0.99, 0.999].map((m) => [SCALES.momentum.place(m), String(m)]);
  axes(plot, powers, momenta, WORDS.x_lr_curvature, WORDS.momentum);
  keys("damping", Object.keys(KINDS).map((kind) => [WORDS[kind], PAINT[kind]]));
}

const BANDS = [10, 100, 1e3, 1e4, 1e5, Infinity];
const shades = BANDS.map((_, i) => 0.66 - 0.12 * i);

function drawTimescale(settings) {
  const plot = begin("timescale"), { pen, width, height } = plot;
  const decays = logScale(1e-6, 1), paint = colour("--line-0");
  fill(plot, 72, 48, (x, y) => {
    const one = settle({ ...settings, lr: SCALES.lr.value(x), weight_decay: decays.value(y) }, 0);
    if (one.kind === "grows") return [PAINT.grows, 0.32];
    return [paint, shades[BANDS.findIndex((band) => stepsFor(one.size, Math.E) <= band)]];
  });
  clipped(plot, () => {
    if (settings.weight_decay > 0) {
      const x = SCALES.lr.place(settings.lr) * width, y = (1 - decays.place(settings.weight_decay)) * height;
      dot(pen, x, y, 5.5, colour("--ink"));
      dot(pen, x, y, 3.5, colour("--paper"));
    }
  });
  const powers = [-4, -3, -2, -1, 0, 1].map((p) => [SCALES.lr.place(10 ** p), p ? `1e${p}` : "1"]);
  axes(plot, powers, [-6, -4, -2, 0].map((p) => [decays.place(10 ** p), p ? `1e${p}` : "1"]), WORDS.lr, WORDS.weight_decay);
  const names = BANDS.map((band, i) => (band === Infinity ? `> ${written(BANDS[i - 1])}` : `≤ ${written(band)}`));
  const shade = (i) => `color-mix(in srgb, ${paint} ${100 * shades[i]}%, ${colour("--paper")})`;
  keys("timescale", [...names.map((name, i) => [`${name} ${WORDS.steps}`, shade(i)]), [WORDS.grows, PAINT.grows]]);
}

// ---- everything together

let PAINT = {};

function numbers(settings, curvatures, left) {
  const [along, across] = curvatures.map((curvature) => settle(settings, curvature));
  const whole = (steps) => (Number.isFinite(steps) ? written(Math.max(1, steps < 1e5 ? Math.round(steps) : steps)) : WORDS.never);
  const halving = (one) => (one.kind === "grows" ? WORDS.diverges : whole(stepsFor(one.size, 2)));
  const forgets = settings.weight_decay > 0 ? whole(stepsFor(settle(settings, 0).size, Math.E)) : WORDS.never;
  const rows = [
    [WORDS.effective_lr, written(effectiveLr(settings)), WORDS.effective_lr_about],
    [WORDS.horizon, written(1 / (1 - settings.momentum)), WORDS.horizon_about],
    [WORDS.largest_lr, written(largestLr(settings, curvatures[1])), WORDS.largest_lr_about],
    [WORDS.after, written(left), WORDS.after_about],
    [WORDS.halves_along, halving(along), `${WORDS.steps} · ${WORDS[along.kind]}`],
    [WORDS.halves_across, halving(across), `${WORDS.steps} · ${WORDS[across.kind]}`],
    [WORDS.forgets, forgets, settings.weight_decay > 0 ? WORDS.steps : WORDS.no_decay],
  ];
  byId("numbers").replaceChildren(
    ...rows.map(([label, value, more]) => {
      const row = document.createElement("div");
      for (const [kind, text, name] of [["dt", label, ""], ["dd", value, "value"], ["dd", more, "more"]]) {
        const part = document.createElement(kind);
        part.textContent = text;
        if (name) part.className = name;
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
  const others = settings.decay !== "coupled" && settings.weight_decay > 0;
  if (others) parts.push(`decay="${settings.decay}"`);
  const ours = others || (settings.nesterov && settings.dampening > 0) || (settings.nesterov && !settings.momentum);
  byId("code").textContent = `${ours ? "downslope.torch" : "torch.optim"}.SGD(model.parameters(), ${parts.join(", ")})`;
}

function draw() {
  PAINT = Object.fromEntries(Object.entries(KINDS).map(([kind, name]) => [kind, colour(name)]));
  const curvatures = [Math.min(state.along, state.across), Math.max(state.along, state.across)];
  const best = { lr: 2 / (curvatures[0] + curvatures[1]), momentum: 0, weight_decay: 0, dampening: 0, nesterov: false, decay: "coupled" };
  const own = run(state, curvatures, START, STEPS), plain = run(best, curvatures, START, STEPS);
  const first = lossOf(START, curvatures), course = (path) => path.map((point) => lossOf(point, curvatures) / first);
  const pair = [[plain, colour("--line-1")], [own, colour("--line-0")]];
  drawValley(pair, curvatures);
  drawCourse(pair.map(([path, style]) => [course(path), style]));
  drawDamping(state, curvatures);
  drawTimescale(state);
  for (const id of ["valley", "course"]) keys(id, [[WORDS.yours, colour("--line-0")], [WORDS.plain, colour("--line-1")]]);
  numbers(state, curvatures, lossOf(own[STEPS], curvatures) / first);
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

function show() {
  for (const [name, scale] of Object.entries(SCALES)) {
    byId(name).value = Math.round(1000 * Math.min(1, Math.max(0, scale.place(state[name]))));
    byId(`${name}-value`).textContent = written(state[name]);
    byId(name).setAttribute("aria-valuetext", written(state[name]));
  }
  byId("nesterov").checked = state.nesterov;
  byId("decay").value = state.decay;
  redraw();
}

function changed(name, value) {
  state = { ...state, [name]: value };
  toAddress();
  const output = byId(`${name}-value`);
  if (output) {
    output.textContent = written(value);
    byId(name).setAttribute("aria-valuetext", written(value));
  }
  redraw();
}

for (const [name, scale] of Object.entries(SCALES)) {
  byId(name).addEventListener("input", (event) => changed(name, rounded(name, scale.value(event.target.value / 1000))));
}
byId("nesterov").addEventListener("change", (event) => changed("nesterov", event.target.checked));
byId("decay").addEventListener("change", (event) => changed("decay", event.target.value));
byId("reset").addEventListener("click", () => {
  state = { ...BEGIN };
  toAddress();
  show();
});
byId("sliders").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", () => {
  state = fromAddress();
  show();
});
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
state = fromAddress();
show();
draw();
