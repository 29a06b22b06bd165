/** What a file says beside its network: how photographs are prepared, and what logits mean. */

import { isCount, isRecord, quoted } from "./description.js";

/** @typedef {{temperature: number, threshold: number | null}} Calibration */
/** @typedef {{fit: string, ground: string}} Preparation */

/** How a photograph may be fitted to a network's size. */
export const FITS = ["crop", "pad", "stretch", "digit", "object"];

/**
 * What nobody calibrated: probabilities as the softmax gives them, and every picture is known.
 * @type {Readonly<Calibration>}
 */
export const UNCALIBRATED = Object.freeze({ temperature: 1, threshold: null });

/**
 * The calibration that a file tells: {temperature, threshold or null}. Throws for anything else.
 * @param {any} values
 * @returns {Calibration}
 */
export function readCalibration(values) {
  if (values === undefined) return UNCALIBRATED;
  const { temperature = 1, threshold = null } = isRecord(values) ? values : {};
  const fine = Number.isFinite(temperature) && temperature > 0;
  if (!isRecord(values) || !fine || (threshold !== null && !Number.isFinite(threshold))) {
    throw new Error(`damaged: the file's calibration is ${quoted(values)}`);
  }
  return { temperature, threshold };
}

/**
 * The preparation that a file tells, {fit, ground}, or null where it tells none.
 *
 * Throws where it makes other pictures than the network takes.
 * @param {any} values
 * @param {import("./trace.js").Network} network
 * @returns {Preparation | null}
 */
export function readPreparation(values, { input_shape: [channels, rows, columns] }) {
  if (values === undefined) return null;
  const { fit = "pad", ground = "keep" } = isRecord(values) ? values : {};
  const fine = FITS.includes(fit) && ["keep", "dark"].includes(ground);
  if (!isRecord(values) || !fine || ![values.height, values.width].every(isCount)) {
    throw new Error(`damaged: the file's preparation is ${quoted(values)}`);
  }
  if (values.channels !== channels || values.height !== rows || values.width !== columns) {
    throw new Error("damaged: the file's preparation makes other pictures than its network takes");
  }
  return { fit, ground };
}
