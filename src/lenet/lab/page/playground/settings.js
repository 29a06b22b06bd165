/** What can be chosen for a training in the page, and the network that follows from it. */

import { isActivation, isPooling, LAYERS } from "lenet/network/layers.js";

/** @typedef {import("lenet/network/trace.js").Network} Network */

const OPTIMIZERS = {
  sgd: { method: "sgd" },
  momentum: { method: "sgd", momentum: 0.9 },
  adam: { method: "adam" },
  adamw: { method: "adamw", weightDecay: 0.01 },
};
const RATES = [1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3];
const POOLINGS = ["AvgPool2d", "MaxPool2d"];
const ACTIVATIONS = [...LAYERS.keys()].filter(
  (type) => isActivation(type) && type !== "ScaledTanh", // of 1998: this engine lacks it
);

/** What each choice is among; texts and numbers. */
export const CHOICES = {
  optimizer: Object.keys(OPTIMIZERS),
  rate: RATES,
  batch: [1, 8, 16, 32, 64, 128, 256],
  activation: ACTIVATIONS,
  pooling: POOLINGS,
};

/**
 * The choices to begin with for a network. Its activation or pooling is null where it has none, or
 * others than these.
 * @param {Network} network
 */
export function firstChoices(network) {
  const { layers } = network;
  const type = (test, among) => {
    const found = layers.find((layer) => test(layer.type))?.type;
    return among.includes(found) ? found : null;
  };
  const activation = type(isActivation, ACTIVATIONS);
  const choices = { optimizer: "adam", rate: 1e-3, batch: 32, seed: 0, activation };
  return {
    ...choices,
    rate: usualRate(choices),
    pooling: type(isPooling, POOLINGS),
    from: "random",
  };
}

/** A learning rate that some thousand pictures are learned with in seconds. */
export function usualRate({ optimizer, activation }) {
  const saturates = activation === "Sigmoid";
  if (optimizer === "sgd") return saturates ? 1 : 0.1;
  if (optimizer === "momentum") return saturates ? 0.3 : 0.01;
  return saturates ? 4e-3 : 1e-3;
}

/** The choices as the engine takes them. */
export function settingsOf({ optimizer, rate, batch }) {
  return { optimizer: OPTIMIZERS[optimizer], learningRate: rate, batchSize: batch };
}

/**
 * The network with other activations and poolings; what it has none of stays.
 * @param {Network} network
 * @returns {Network}
 */
export function variant(network, { activation, pooling }) {
  const layers = network.layers.map((layer) => {
    if (activation !== null && ACTIVATIONS.includes(layer.type)) {
      return layer.type === activation ? layer : { type: activation };
    }
    if (pooling !== null && POOLINGS.includes(layer.type)) return { ...layer, type: pooling };
    return layer;
  });
  return { ...network, layers };
}
