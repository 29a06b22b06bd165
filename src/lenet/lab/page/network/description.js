/** A network as lenet.network.architecture.to_dict describes it, checked and completed. */

import { defaultsOf, isPooling, LARGEST, LAYERS } from "./layers.js";

/**
 * Throws an Error where what a network says besides its layers is not in order.
 * @param {import("./trace.js").Network} network
 */
export function checkHead({ input_shape: shape, layers, classes, normalization }) {
  const sizes = Array.isArray(shape) && shape.length === 3 ? shape : [0];
  if (!sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= LARGEST)) {
    throw new Error(
      `input shape ${quoted(shape)} must be [channels, height, width], each at least 1`,
    );
  }
  if (!Array.isArray(layers) || layers.length === 0) {
    throw new Error("the network has no layers; give at least one");
  }
  if (!Array.isArray(classes) || classes.length < 2) {
    throw new Error("the network needs at least 2 classes");
  }
  if (!classes.every((name) => typeof name === "string")) {
    throw new Error(`classes are ${quoted(classes)}, must be names`);
  }
  const { mean, deviation } = normalization ?? { mean: [0], deviation: [1] };
  const fits = (values) => Array.isArray(values) && [1, shape[0]].includes(values.length);
  if (!fits(mean) || !fits(deviation) || ![...mean, ...deviation].every(Number.isFinite)) {
    throw new Error("the normalization must have one mean and deviation, or one for each channel");
  }
  if (Math.min(...deviation) <= 0) {
    throw new Error(`normalization deviation ${quoted(deviation)} must be positive`);
  }
}

/**
 * A layer with every argument that was left out; windowed layers have a stride and a padding.
 * @param {number} index
 * @param {any} description
 * @returns {import("./layers.js").Layer}
 */
export function complete(index, description) {
  const type = description?.type;
  const known = LAYERS.get(type)?.arguments;
  if (!known) {
    const types = [...LAYERS.keys()].join(", ");
    throw new Error(`layer ${index}: unknown type ${quoted(type)}; choose from ${types}`);
  }
  const where = `layer ${index} (${type})`;
  for (const name of Object.keys(description)) {
    if (name !== "type" && !Object.hasOwn(known, name)) {
      throw new Error(`${where} has an unknown key ${quoted(name)}`);
    }
  }
  const layer = { type, ...defaultsOf(type), ...description };
  if (isPooling(type)) layer.stride ??= layer.kernel_size;
  if (type === "Subsample") layer.padding = 0;
  for (const [name, value] of Object.entries(layer)) {
    if (!known[name]?.refusal) continue; // the type, the table of connections, what was added
    if (typeof value !== "number") {
      throw new Error(`${where}: ${name} is ${quoted(value)}, must be a number`);
    }
    const wanted = known[name].refusal(value, layer);
    if (wanted) throw new Error(`${where}: ${name} is ${value}, must be ${wanted}`);
  }
  if (layer.connections !== undefined && layer.connections !== null) checkConnections(where, layer);
  return layer;
}

function checkConnections(where, { connections, in_channels: channels, out_channels: outputs }) {
  const rows = Array.isArray(connections) ? connections : [];
  if (rows.length !== outputs) {
    throw new Error(`${where}: connections has ${rows.length} rows for ${outputs} output channels`);
  }
  rows.forEach((sources, output) => {
    const list = Array.isArray(sources) ? sources : [];
    const legal = list.every((source) => isCount(source) && source < channels);
    if (list.length === 0 || !legal || new Set(list).size !== list.length) {
      throw new Error(
        `${where}: connections of output channel ${output} are ${quoted(sources)}; `
          + `give different input channels from 0 to ${channels - 1}`,
      );
    }
  });
}

/** Whether a value is a JSON object. */
export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a whole number from 0 on. */
export function isCount(value) {
  return Number.isSafeInteger(value) && value >= 0;
}

/** What a stranger wrote, cut to what a line holds. */
export function quoted(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
