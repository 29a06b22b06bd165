/** The settings of a training as a form has them: which there are, what was changed, in words. */

const METHODS = ["sgd", "adam", "adamw", "sdlm"];
const SCHEDULES = ["constant", "step", "cosine", "one-cycle", "listed"];
const SAMPLINGS = ["shuffled", "balanced"];
const INITIALIZATIONS = ["xavier", "xavier-linear", "torch", "he", "lecun"];

// What an optimiser begins with where nobody says otherwise (src/lenet/optimization.py).
const LEARNING_RATE = { sgd: 0.9, adam: 0.001, adamw: 0.001, sdlm: 0.0005 };
const WEIGHT_DECAY = { sgd: 0, adam: 0, adamw: 0.01, sdlm: 0 };

const whole = (least, most) => ({ kind: "whole", least, most });
const real = (least, most) => ({ kind: "real", least, most });
const oneOf = (options) => ({ kind: "choice", options });
const flag = { kind: "flag" };
const text = { kind: "text" };

/**
 * Every field: its dotted key, how it is filled in, and whether it stands under "more".
 * @type {{key: string, kind: string, least?: number, most?: number, options?: string[],
 *   more?: boolean, methods?: string[], kinds?: string[]}[]}
 */
export const FIELDS = [
  { key: "epochs", ...whole(1, 1e6) },
  { key: "batch_size", ...whole(1, 2 ** 31 - 1) },
  { key: "schedule.learning_rate", ...real(0) },
  { key: "optimizer.method", ...oneOf(METHODS) },
  { key: "schedule.kind", ...oneOf(SCHEDULES) },
  { key: "seed", ...whole(0, 2 ** 32 - 1) },
  { key: "val", ...real(0, 1) },
  { key: "pictures", ...whole(0), more: true },
  { key: "initialization", ...oneOf(INITIALIZATIONS), more: true },
  { key: "optimizer.momentum", ...real(0, 1), more: true, methods: ["sgd"] },
  { key: "optimizer.nesterov", ...flag, more: true, methods: ["sgd"] },
  { key: "optimizer.weight_decay", ...real(0), more: true },
  { key: "optimizer.beta1", ...real(0, 1), more: true, methods: ["adam", "adamw"] },
  { key: "optimizer.beta2", ...real(0, 1), more: true, methods: ["adam", "adamw"] },
  { key: "optimizer.eps", ...real(0), more: true, methods: ["adam", "adamw"] },
  { key: "optimizer.damping", ...real(0), more: true, methods: ["sdlm"] },
  { key: "optimizer.average", ...real(0, 1), more: true },
  {
    key: "schedule.warmup_epochs",
    ...real(0),
    more: true,
    kinds: ["constant", "step", "cosine", "listed"],
  },
  { key: "schedule.step_epochs", ...real(0), more: true, kinds: ["step"] },
  { key: "schedule.gamma", ...real(0, 1), more: true, kinds: ["step"] },
  { key: "schedule.final", ...real(0, 1), more: true, kinds: ["cosine"] },
  { key: "schedule.factors", ...text, more: true, kinds: ["listed"] },
  { key: "objective.label_smoothing", ...real(0, 1), more: true },
  { key: "objective.rubbish_distance", ...real(0), more: true },
  { key: "objective.class_weights", ...text, more: true },
  { key: "sampling", ...oneOf(SAMPLINGS), more: true },
  { key: "augmentation.shift", ...whole(0, 127), more: true },
  { key: "augmentation.flip", ...flag, more: true },
  { key: "augmentation.rotate", ...real(0, 90), more: true },
  { key: "augmentation.scale", ...real(0, 1), more: true },
  { key: "augmentation.shear", ...real(0, 60), more: true },
  { key: "augmentation.elastic", ...real(0, 100), more: true },
  { key: "augmentation.erase", ...real(0, 1), more: true },
  { key: "early_stopping.patience", ...whole(0), more: true },
  { key: "early_stopping.min_delta", ...real(0), more: true },
];

const FLAGS = {
  epochs: "--epochs",
  batch_size: "--batch-size",
  "schedule.learning_rate": "--lr",
  seed: "--seed",
  val: "--val",
  "objective.class_weights": "--class-weights",
};

/** A recipe's value by its dotted key. */
export function settingOf(recipe, key) {
  return key.split(".").reduce((part, name) => part?.[name], recipe);
}

/** Whether a field plays a part beside these values: beta1 has none with sgd. */
export function matters(field, valueFor) {
  if (field.methods && !field.methods.includes(valueFor("optimizer.method"))) return false;
  return !field.kinds || field.kinds.includes(valueFor("schedule.kind"));
}

/** What changes together with the optimiser, unless it was given: its usual values. */
export function usualFor(method, sigmoids) {
  return {
    "schedule.learning_rate": method === "sgd" && !sigmoids ? 0.1 : LEARNING_RATE[method],
    "optimizer.weight_decay": WEIGHT_DECAY[method],
    ...(method === "sgd" ? {} : { "optimizer.momentum": 0, "optimizer.nesterov": false }),
  };
}

/** The value that a text in a field means: a number, or the text itself where it is none. */
export function parsed(field, text) {
  if (field.kind === "text") return text.trim();
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? text : number;
}

/** What is wrong with a field's value, as {problem, least, most}; null if nothing is. */
export function wrong(field, value) {
  if (field.kind !== "whole" && field.kind !== "real") return null;
  if (typeof value !== "number" || !Number.isFinite(value)) return { problem: "number" };
  if (field.kind === "whole" && !Number.isInteger(value)) return { problem: "whole" };
  if (value < field.least) return { problem: "least", least: field.least };
  if (field.most !== undefined && value > field.most) return { problem: "most", most: field.most };
  return null;
}

/** The values that are not the recipe's, as {dotted key: value}, in the fields' order. */
export function changes(recipe, values) {
  const changed = {};
  for (const { key } of FIELDS) {
    if (key in values && values[key] !== settingOf(recipe, key)) changed[key] = values[key];
  }
  return changed;
}

/** The command that trains the same in a terminal; one with a name into the lab's folder. */
export function commandLine(
  { recipe, settings, network, data, text, name = null },
  folder = "runs",
) {
  const words = ["lenet", "train", recipe];
  if (data) words.push("--data", quoted(data));
  if (text) words.push("--network", "own", "--set", quoted(`layers=${text.trim()}`));
  else if (network) words.push("--network", quoted(network));
  for (const [key, value] of Object.entries(settings)) {
    if (key in FLAGS) words.push(FLAGS[key], String(value));
    else words.push("--set", quoted(`${key}=${value}`));
  }
  if (name) words.push("--out", quoted(`${folder}/${name}`));
  return words.join(" ");
}

function quoted(text) {
  return /^[\w./=+,:-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}
