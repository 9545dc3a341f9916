// Drawing on canvases: plots as sharp as the screen, in the page's colours, light or dark.
const byId = (id) => document.getElementById(`lab-${id}`);
const KINDS = { creeps: "--line-0", swings: "--line-2", jumps: "--line-4", grows: "--line-1" };
const NAMES = ["--ink", "--soft", "--rule", "--paper", "--sans", ...[0, 1, 2, 3, 4].map((i) => `--line-${i}`)];
let COLOURS = {};
const colour = (name) => COLOURS[name];

function readColours() {
  const style = getComputedStyle(document.documentElement);
  COLOURS = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(name).trim()]));
}

const logScale = (low, high) => ({
  value: (t) => low * (high / low) ** t,
  place: (x) => Math.log(x / low) / Math.log(high / low),
});

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

// Where the plots are, asked of all at once: one asked after another's words changed would be laid out again each time.
const BOXES = new Map();
function measure() {
  for (const canvas of document.querySelectorAll("#lab canvas")) BOXES.set(canvas.id, canvas.getBoundingClientRect());
}

// A plot's inside is 0..width by 0..height; below and left of it are the axes.
function begin(id) {
  const canvas = byId(`${id}-plot`), box = BOXES.get(canvas.id), dots = window.devicePixelRatio || 1;
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

// A map of columns by rows as one picture, stretched; it is painted anew only where `key`, what it depends on, or the
// colours change. `cell` is given where a cell's middle is, 0..1, and returns [colour "#rrggbb", opacity].
function fill({ pen, width, height }, map, key, cell) {
  const seen = `${key} ${Object.values(COLOURS)}`, { columns, rows } = map;
  if (map.seen !== seen) {
    [map.seen, map.picture] = [seen, document.createElement("canvas")];
    [map.picture.width, map.picture.height] = [columns, rows];
    const inside = map.picture.getContext("2d"), dots = inside.createImageData(columns, rows);
    for (let i = 0; i < columns * rows; i++) {
      const [across, down] = [i % columns, Math.floor(i / columns)];
      const [style, opacity] = cell((across + 0.5) / columns, 1 - (down + 0.5) / rows);
      for (let part = 0; part < 3; part++) dots.data[4 * i + part] = parseInt(style.slice(1 + 2 * part, 3 + 2 * part), 16);
      dots.data[4 * i + 3] = Math.round(255 * opacity);
    }
    inside.putImageData(dots, 0, 0);
  }
  pen.imageSmoothingEnabled = false;
  pen.drawImage(map.picture, 0, 0, width, height);
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

// Where the settings are on a map, and the trail that a schedule draws on it.
function mark({ pen, width, height }, [x, y], trail) {
  const inside = ([across, up]) => [Math.min(1, Math.max(0, across)) * width, (1 - Math.min(1, Math.max(0, up))) * height];
  line(pen, trail.map(inside), colour("--ink"), 1);
  dot(pen, ...inside([x, y]), 5.5, colour("--ink"));
  dot(pen, ...inside([x, y]), 3.5, colour("--paper"));
}

function label(pen, text, [x, y]) {
  pen.font = `12px ${colour("--sans")}`;
  pen.textAlign = "left";
  pen.lineWidth = 3;
  pen.strokeStyle = colour("--paper");
  pen.strokeText(text, x, y);
  pen.fillStyle = colour("--ink");
  pen.fillText(text, x, y);
}

const KEYS = {};
function keys(id, rows) {
  const seen = JSON.stringify(rows);
  if (KEYS[id] === seen) return;
  KEYS[id] = seen;
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

// Curves over a logarithmic scale: [xs, values, colour, thickness] each; what is 0 lies below it, what is infinite above.
function drawCurves(id, curves, xTicks, xName, yName, decades) {
  const plot = begin(id), { pen, width, height } = plot;
  const values = curves.flatMap(([, ys]) => ys).filter((value) => value > 0 && Number.isFinite(value));
  const [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [1, 1];
  const high = Math.ceil(Math.log10(most) + 1e-9), low = Math.max(high - decades, Math.min(high - 1, Math.floor(Math.log10(least) - 1e-9)));
  const last = Math.max(...curves.flatMap(([xs]) => xs[xs.length - 1])) || 1;
  const up = (value) => (value > 0 ? ((high - Math.min(high + 1, Math.log10(value))) / (high - low)) * height : 2 * height);
  clipped(plot, () => {
    for (const [xs, ys, style, thick] of curves) line(pen, ys.map((value, i) => [(xs[i] / last) * width, up(value)]), style, thick);
  });
  const powers = [];
  for (let p = low; p <= high; p += Math.max(1, Math.ceil((high - low) / 5))) powers.push([(p - low) / (high - low), powerOf(p)]);
  axes(plot, xTicks(last), powers, xName, yName);
}

const powerOf = (p) => (p >= -2 && p <= 3 ? String(Number((10 ** p).toPrecision(1))) : `1e${p}`);

// Four or so round numbers from 0 on.
function evenTicks(last) {
  const rough = last / 4, unit = 10 ** Math.floor(Math.log10(rough)), pace = unit * [1, 2, 5, 10].find((n) => n * unit >= rough);
  return Array.from({ length: Math.floor(last / pace + 1e-9) + 1 }, (_, i) => [(i * pace) / last, written(i * pace)]);
}
