// What a hand does with a chart: crosshair, zoom, keys, its numbers as a file.
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
  if (!chart.byStep) return pointsAt(chart, x);
  const [from, to] = chart.range, near = 0.015 * (to - from);
  return chart.shown.flatMap((one) => {
    const own = one.rawPlaces;
    if (!own.length || x > own.at(-1) + near || x < own[0] - Math.max(near, own[0])) return [];
    const i = nearest(one.places, x), k = nearest(own, x), { line } = one;
    const raw = line.window > 1 && state.smooth !== 0 ? line.values[k] : undefined;
    const value = line.values[k] === null && line.window > 1 ? null : one.values[i];
    return [{ line, value, raw, place: own[k], at: one.places[i], step: line.steps[k] }];
  });
}

// Of a line among points, such as the best so far, the last value there is enough.
const pointsAt = (chart, x) =>
  chart.shown.flatMap(({ line, rawPlaces, values }) => {
    const found = rawPlaces.flatMap((place, k) => (place === x ? [{ line, k, value: values[k], place, at: place, label: line.labels?.[k] }] : []));
    return line.marks ? found : found.slice(-1);
  });

// Of a chart of points the one nearest to a pixel: { x, line, k }.
function nearestPoint(chart, left, top) {
  let best = null, least = Infinity;
  for (const { line, rawPlaces, values } of chart.shown.filter((one) => one.line.marks)) {
    rawPlaces.forEach((x, k) => {
      const far = Math.hypot(chart.x(x) - left, (values[k] === null ? chart.frame.bottom - 6 : chart.y(values[k])) - top);
      if (far < least && x >= chart.range[0] && x <= chart.range[1]) [best, least] = [{ x, line, k }, far];
    });
  }
  return best;
}

function placeText(chart, x, rows) {
  if (!chart.byStep) {
    const words = chart.axis.words;
    return `${chart.axis.name} ${words ? words[x] : written(x)}`.trim();
  }
  const first = rows[0];
  if (DATA.runs.length > 1 || !first) return state.x === "step" ? `step ${grouped(x)}` : `${UNITS[state.x]} ${written(Number(x.toPrecision(4)))}`;
  const parts = [`step ${grouped(first.step)}`];
  if (DATA.runs[0].per) parts.push(`epoch ${written(Number(placeOf(0, first.step, "epoch").toPrecision(4)))}`);
  return parts.join(" · ");
}

function showAt(chart, index, aloud, only) {
  const x = chart.places[index];
  if (x === undefined) return;
  cursor = { chart, index };
  const all = readAt(chart, x).filter((row) => !only || (row.line === only.line && row.k === only.k));
  const rows = all.slice(0, 24), { tip, frame } = chart;
  for (const other of Object.values(charts)) {
    if (other !== chart) clearCross(other);
    if (other.byStep === chart.byStep && (other === chart || (chart.byStep && x <= other.range[1]))) crossLine(other, other.x(x));
  }
  for (const row of rows) {
    if (row.value === null) continue;
    const dot = draw(chart.cross, "circle", { cx: chart.x(row.at), cy: chart.y(row.value), r: 4 });
    dot.style.fill = paint(row.line);
  }
  chart.svg.classList.toggle("choosing", Boolean(only?.line.joined));
  for (const one of chart.svg.querySelectorAll(".strand")) one.classList.toggle("chosen", one.dataset.line === String(only?.line.index));
  tip.setAttribute("aria-live", aloud ? "polite" : "off");
  tip.replaceChildren();
  element(tip, "div", "where", placeText(chart, x, [...rows].sort((a, b) => Math.abs(a.place - x) - Math.abs(b.place - x))));
  const many = rows.length > 6, list = element(tip, "div", rows.length > 9 ? "rows many" : "rows");
  if (many) rows.sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
  for (const row of rows) {
    const one = element(list, "div", "row"), mark = element(one, "i", "");
    mark.style.background = paint(row.line);
    element(one, "span", "", row.label ?? row.line.name);
    if (chart.axis?.ends) continue;
    element(one, "b", "", row.value === null && !chart.byStep ? "diverged" : written(row.value, chart.percent));
    if (many) continue;
    if (row.raw !== undefined && row.raw !== row.value) element(one, "span", "soft", `this step ${written(row.raw, chart.percent)}`);
    else if (chart.byStep && Math.abs(row.place - x) > 1e-9) element(one, "span", "soft", `at ${written(row.place)}`);
  }
  if (all.length > rows.length) element(tip, "div", "where", `and ${all.length - rows.length} more`);
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
  chart.svg.classList.remove("choosing");
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
    const box = svg.getBoundingClientRect(), view = inView(chart);
    if (!view.length) return;
    if (!chart.lines.some((line) => line.marks)) return showAt(chart, chart.places.indexOf(view[nearest(view, chart.back(pixel(event)))]), false);
    const found = nearestPoint(chart, pixel(event), ((event.clientY - box.top) / box.height) * chart.frame.height);
    if (found) showAt(chart, chart.places.indexOf(found.x), false, found);
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
    const x = (value) => (chart.axis.words ? chart.axis.words[value] : value), named = chart.lines.length > 1;
    const marked = chart.lines.some((line) => line.marks);
    const found = chart.lines.filter((line) => line.marks || !marked).flatMap((line) =>
      line.values.map((value, i) => [...(named ? [line.labels?.[i] ?? "", line.name] : []), x(line.steps[i]), value ?? "nan"]));
    const head = [...(named ? ["which", "state"] : []), chart.axis.name, chart.height ?? chart.title];
    return `${[head, ...found].map((row) => row.map(String).map(quoted).join(",")).join("\n")}\n`;
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
  return `${lines.map((row) => row.join(",")).join("\n")}\n`;
}

function download(chart) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(chart)], { type: "text/csv" }));
  link.download = `${DATA.name}-${chart.key}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
