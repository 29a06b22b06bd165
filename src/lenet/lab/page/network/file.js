/** A network and its weights, read from a safetensors file that a stranger may have written. */

import { codesOf } from "./codes.js";
import { isCount, isRecord, quoted } from "./description.js";
import { readCalibration, readPreparation } from "./notes.js";
import { product, shapeText } from "./shapes.js";
import { parameterShapes, trace } from "./trace.js";

const LARGEST_FILE = 2 ** 30; // bytes; ours have a few hundred thousand
const LARGEST_HEADER = 1_000_000; // bytes; ours have a few thousand
const MOST_TENSORS = 2_000;
const MOST_OUTPUTS = 2 ** 26; // numbers of all layers together, for one picture
const MOST_MACS = 2 ** 34; // of one picture: some ten seconds
const FORMAT = 1;

/**
 * @typedef {object} Read
 * @property {import("./trace.js").Network} network
 * @property {import("./trace.js").Weights} weights
 * @property {import("./notes.js").Preparation | null} preparation
 * @property {import("./notes.js").Calibration} calibration
 */

/**
 * The {network, weights, preparation, calibration} of a safetensors file that lenet wrote (an
 * ArrayBuffer); what the last two are, notes.js says.
 *
 * The file is not trusted: sizes, counts and places are checked before anything is made of them,
 * names and shapes must be exactly the network's. Throws an Error that says what is wrong.
 * @param {ArrayBuffer} buffer
 * @returns {Read}
 */
export function readSafetensors(buffer) {
  const [header, start] = readHeader(buffer);
  const described = readDescription(header);
  const { network } = described;
  const traced = trace(network);
  checkCosts(traced);
  const shapes = parameterShapes(traced);
  const tensors = readTensors(header, buffer.byteLength - start);
  for (const name of new Set([...shapes.keys(), ...tensors.keys()])) {
    const wanted = shapes.has(name) ? shapeText(shapes.get(name)) : "none of this name";
    const found = tensors.has(name) ? shapeText(tensors.get(name).shape) : "none";
    if (wanted !== found) {
      throw new Error(`tensor ${quoted(name)}: the network needs ${wanted}, the file has ${found}`);
    }
  }
  const weights = new Map();
  for (const [name, shape] of shapes) {
    const { begin, end } = tensors.get(name);
    // a copy: the file's memory need not stay, and need not lie on a multiple of four bytes
    weights.set(name, { shape, data: new Float32Array(buffer.slice(start + begin, start + end)) });
  }
  for (const { index, type, layer } of traced) {
    if (type !== "RBF") continue; // no file holds codes: the layer decides them
    const shape = [layer.out_features, layer.in_features];
    weights.set(`${index}.codes`, { shape, data: codesOf(layer) });
  }
  const preparation = readPreparation(described.preparation, network);
  return { network, weights, preparation, calibration: readCalibration(described.calibration) };
}

/**
 * The header of a safetensors file, and where in the file the numbers begin.
 * @param {ArrayBuffer} buffer
 * @returns {[Record<string, any>, number]}
 */
function readHeader(buffer) {
  const size = buffer.byteLength;
  if (size < 8 || size > LARGEST_FILE) {
    throw new Error(`not a safetensors file of lenet: it has ${size} bytes`);
  }
  const view = new DataView(buffer);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > Math.min(LARGEST_HEADER, size - 8)) {
    throw new Error(
      `not a safetensors file of lenet: it would have a header of ${length} bytes in ${size}`,
    );
  }
  const text = new TextDecoder("utf-8", { fatal: true });
  const header = parsed(() => text.decode(new Uint8Array(buffer, 8, length)), "the header");
  if (!isRecord(header)) throw new Error("damaged: the header is no JSON object");
  return [header, 8 + length];
}

/** What a header's metadata say: the network, and what else was noted. */
function readDescription(header) {
  const metadata = isRecord(header.__metadata__) ? header.__metadata__.lenet : undefined;
  if (typeof metadata !== "string") {
    throw new Error("the file holds no description of a network: lenet did not write it");
  }
  const values = parsed(() => metadata, "the description of the network");
  if (!isRecord(values) || values.format !== FORMAT) {
    throw new Error("the file was written by a newer version of lenet");
  }
  if (!isRecord(values.network)) {
    throw new Error("the file holds no network; it may be a checkpoint");
  }
  return values;
}

/** Each tensor of a header as name → {shape, begin, end}, in bytes of the data that follow it. */
function readTensors(header, size) {
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  if (entries.length > MOST_TENSORS) {
    throw new Error(`the file has ${entries.length} tensors; at most ${MOST_TENSORS} are read`);
  }
  const tensors = new Map();
  for (const [name, entry] of entries) {
    const what = `tensor ${quoted(name)}`;
    if (!isRecord(entry)) throw new Error(`damaged: ${what} is no JSON object`);
    const { dtype, shape, data_offsets: offsets } = entry;
    if (dtype !== "F32") throw new Error(`${what} is ${quoted(dtype)}, must be F32`);
    if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isCount)) {
      throw new Error(`damaged: ${what} has the shape ${quoted(shape)}`);
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      throw new Error(`damaged: ${what} lies at ${quoted(offsets)}`);
    }
    const [begin, end] = offsets;
    if (begin > end || end > size) {
      throw new Error(`damaged: ${what} lies at ${begin} to ${end} of ${size} bytes`);
    }
    if (end - begin !== 4 * product(shape)) {
      throw new Error(`damaged: ${what} (${shapeText(shape)}) has ${end - begin} bytes`);
    }
    tensors.set(name, { shape, begin, end });
  }
  let place = 0; // every byte belongs to exactly one tensor
  for (const { begin, end } of [...tensors.values()].sort((a, b) => a.begin - b.begin)) {
    if (begin !== place) {
      throw new Error(`damaged: tensors ${begin < place ? "overlap" : "leave a gap"} at ${begin}`);
    }
    place = end;
  }
  if (place !== size) throw new Error(`damaged: the tensors end at ${place} of ${size} bytes`);
  return tensors;
}

/**
 * Refuse a network that a page could not compute: a stranger may have written it.
 * @param {import("./trace.js").TracedLayer[]} traced
 */
function checkCosts(traced) {
  const outputs = traced.reduce((sum, row) => sum + product(row.outputShape), 0);
  const macs = traced.reduce((sum, row) => sum + row.macs, 0);
  if (outputs > MOST_OUTPUTS || macs > MOST_MACS) {
    throw new Error(`the network is too large for a page: ${macs} multiply-accumulates a picture`);
  }
}

/**
 * @param {() => string} text
 * @param {string} what
 */
function parsed(text, what) {
  try {
    return JSON.parse(text());
  } catch (error) {
    throw new Error(`damaged: ${what} cannot be read: ${String(error.message).slice(0, 200)}`);
  }
}
