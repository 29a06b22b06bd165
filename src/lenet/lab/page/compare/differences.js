/** Two networks layer by layer: which belong together, and their differences in words. */

import { count, percent, show } from "lenet/dom.js";
import {
  connectionCount,
  defaultsOf,
  isConvolution,
  isDense,
  LAYERS,
} from "lenet/network/layers.js";
import { product, shapeText } from "lenet/network/shapes.js";
import { layerName } from "lenet/shared/layer-rows.js";

const GAP = 0.7; // a layer without a counterpart; two cost more than any match

/**
 * The layers of two traced networks in rows [left, right], null where one has no counterpart.
 *
 * The cheapest way of going through both in order: layers of a type belong together, then those
 * that play the same part.
 */
export function align(left, right) {
  const cost = Array.from({ length: left.length + 1 }, () =>
    new Float64Array(right.length + 1).fill(Infinity),
  );
  const from = new Map();
  cost[0][0] = 0;
  for (let i = 0; i <= left.length; i++) {
    for (let j = 0; j <= right.length; j++) {
      const ways = [
        i > 0 && j > 0 && [cost[i - 1][j - 1] + match(left[i - 1], right[j - 1]), i - 1, j - 1],
        i > 0 && [cost[i - 1][j] + GAP, i - 1, j],
        j > 0 && [cost[i][j - 1] + GAP, i, j - 1],
      ].filter(Boolean);
      for (const [price, a, b] of ways) {
        if (price < cost[i][j]) {
          cost[i][j] = price;
          from.set(`${i},${j}`, [a, b]);
        }
      }
    }
  }
  const rows = [];
  let [i, j] = [left.length, right.length];
  while (i > 0 || j > 0) {
    const [a, b] = from.get(`${i},${j}`);
    rows.unshift([a < i ? left[i - 1] : null, b < j ? right[j - 1] : null]);
    [i, j] = [a, b];
  }
  return rows;
}

function match(one, other) {
  const sizes = size(one) === size(other) ? 0 : 0.1;
  if (one.type === other.type) return sizes;
  if (partOf(one.type) !== partOf(other.type)) return Infinity;
  // a convolution stands for a dense layer only where both make as many units of the whole picture
  if ([one, other].some(({ type }) => isConvolution(type)) && sizes > 0) return Infinity;
  return 0.4 + sizes;
}

/** The part that a type of layer plays in a network: whatever has kernels or codes plays one. */
const partOf = (type) => (isConvolution(type) || isDense(type) ? "weights" : LAYERS.get(type).role);

const size = (row) => product(row.outputShape);

/** What is different between a row's two layers, as [name, left, right] of their arguments. */
export function argumentsThatDiffer(one, other) {
  if (one.type !== other.type) return [];
  return Object.entries(LAYERS.get(one.type).arguments)
    .filter(([, { follows, isTable }]) => !follows && !isTable)
    .map(([name]) => [name, one.layer[name], other.layer[name]])
    .filter(([, left, right]) => left !== right);
}

/**
 * The differences of two networks as sentences, in the language of `t`.
 *
 * `left` and `right`: {name, network, traced}; `rows` from align(). The names are what the
 * sentences call them.
 */
export function inWords(left, right, rows, t) {
  const names = { a: left.name, b: right.name };
  const said = [];
  const say = (key, values = {}) => said.push(t(`compare.differ.${key}`, { ...names, ...values }));

  if (left.network.input_shape.join() !== right.network.input_shape.join()) {
    say("input", {
      left: shapeText(left.network.input_shape),
      right: shapeText(right.network.input_shape),
    });
  }
  const normalization = ({ network }) => JSON.stringify(network.normalization);
  if (normalization(left) !== normalization(right)) say("normalization");

  const pairs = rows.filter(([one, other]) => one && other);
  for (const role of ["pooling", "activation"]) {
    const [ones, others] = typesOf(rows, role);
    if (ones.length > 0 && others.length > 0 && ones.join() !== others.join()) {
      const words = (types) => types.map((type) => inShort(type, t)).join(t("compare.and"));
      say(role, { left: words(ones), right: words(others) });
    }
  }
  for (const [one, other] of pairs) {
    const different = argumentsThatDiffer(one, other);
    if (different.length > 0) {
      say("arguments", {
        layer: layerName(one),
        what: different
          .map(([name, a, b]) =>
            t("compare.differ.argument", {
              name: t(`compare.argument.${name}`),
              left: number(a),
              right: number(b),
            }),
          )
          .join(t("learn.comma")),
        left: shapeText(one.outputShape),
        right: shapeText(other.outputShape),
      });
    }
    sayKernels(one, other, say);
    if (partOf(one.type) === "weights" && one.type !== other.type) {
      say(one.type === "RBF" || other.type === "RBF" ? "output" : "type", {
        left: layerName(one),
        right: layerName(other),
        units: count(size(one)),
      });
    }
  }
  sayAlone(rows, 0, say);
  sayAlone(rows, 1, say);
  for (const what of ["parameters", "macs"]) {
    const [one, other] = [left, right].map(({ traced }) =>
      traced.reduce((sum, row) => sum + row[what], 0),
    );
    if (one !== other) {
      say(what, { left: count(one), right: count(other), proportion: proportion(one, other, t) });
    }
  }
  if (said.length === 0) say("none", { n: count(sum(left.traced)) });
  return said;
}

const sum = (traced) => traced.reduce((all, row) => all + row.parameters, 0);

/** A convolution of which not every kernel exists. */
function sayKernels(one, other, say) {
  if (!isConvolution(one.type) || !isConvolution(other.type)) return;
  if (!one.layer.connections === !other.layer.connections) return;
  const [key, row] = one.layer.connections ? ["table-left", one] : ["table-right", other];
  say(key, {
    layer: layerName(row),
    n: connectionCount(row.layer),
    all: row.layer.in_channels * row.layer.out_channels,
  });
}

/** The layers that only one of the two has. */
function sayAlone(rows, side, say) {
  const alone = rows
    .filter((row) => row[side] && !row[1 - side])
    .map((row) => layerName(row[side]));
  if (alone.length > 0) {
    say(side === 0 ? "only-left" : "only-right", { layers: alone.join(" · ") });
  }
}

/** What a kind of layer does: an activation by its formula. */
function inShort(type, t) {
  const { formula } = LAYERS.get(type);
  return formula ? `${type} (${formula(defaultsOf(type))})` : t(`compare.type.${type}`);
}

function typesOf(rows, role) {
  return [0, 1].map((side) => [
    ...new Set(rows.map((row) => row[side]?.type).filter((type) => type && partOf(type) === role)),
  ]);
}

function number(value) {
  return value == null ? "–" : show(value, Number.isInteger(value) ? 0 : 2);
}

/** "28% fewer" or "3.8 times as many" of the second against the first. */
function proportion(one, other, t) {
  if (one === 0 || other === 0) return "";
  if (other < one) return t("compare.fewer", { share: percent(1 - other / one, 0) });
  const times = other / one;
  return times < 2
    ? t("compare.more-by", { share: percent(times - 1, 0) })
    : t("compare.times", { n: show(times, 1) });
}
