// What follows from the rule. What stands above this file: scalars(settings) and step(param, grad, velocity, s), written
// out of the rule itself; START, where walks begin; BEGIN, what the sliders begin with; SCHEDULES, those to choose from;
// WORDS, the page's language.
const STILL = { momentum: 0, weight_decay: 0, dampening: 0, nesterov: false, nu: 1, decay: "coupled" };

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
  const s = scalars(settings), undampened = settings.undampened_first_step ?? true;
  const first = undampened ? scalars({ ...settings, dampening: 0 }) : s;
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

// The best that a valley allows: plain SGD, and the heavy ball (Polyak 1964).
const bestPlain = ([low, high]) => ({ ...STILL, lr: 2 / (low + high) });
const bestHeavyBall = ([low, high]) => {
  const [a, b] = [Math.sqrt(low), Math.sqrt(high)];
  return { ...STILL, lr: 4 / (a + b) ** 2, momentum: ((b - a) / (b + a)) ** 2 };
};

// The settings at some times of a run whose sliders stand as `settings` says. Of a recipe's own course lr and weight
// decay move in proportion, and momentum by the steps that the velocity remembers.
function courseOf(settings) {
  if (settings.schedule !== "own") {
    const { shares } = SCHEDULES[settings.schedule], count = shares.length;
    const times = shares.map((_, i) => (100 * i) / (count - 1)), reference = { lr_initial: settings.lr, lr_max: settings.lr };
    return { unit: "share", times, rows: shares.map((share) => ({ ...settings, ...reference, lr: settings.lr * share })) };
  }
  const own = BEGIN.course;
  const heavier = (1 - settings.momentum) / (1 - BEGIN.momentum);
  const momentum = (i) => (own.momentum ? Math.min(0.999999, Math.max(0, 1 - (1 - own.momentum[i]) * heavier)) : settings.momentum);
  const stronger = BEGIN.weight_decay > 0 ? settings.weight_decay / BEGIN.weight_decay : 1;
  const decay = (i) => (own.weight_decay && BEGIN.weight_decay > 0 ? own.weight_decay[i] * stronger : settings.weight_decay);
  const reference = { lr_initial: settings.lr * own.initial, lr_max: settings.lr * own.largest };
  const rows = own.lr.map((share, i) => ({ ...settings, ...reference, lr: settings.lr * share, momentum: momentum(i), weight_decay: decay(i) }));
  return { unit: own.unit, times: own.times, rows, per_epoch: own.per_epoch };
}
