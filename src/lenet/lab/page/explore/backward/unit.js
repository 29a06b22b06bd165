/** The gradient of one number: the sum over everything that it feeds. */

import { fill, h } from "lenet/dom.js";
import { fedSize, kernelsBlock } from "lenet/explore/backward/kernels.js";
import { exactly, small, termTable } from "lenet/explore/backward/terms.js";
import { layerName, placeName } from "lenet/explore/network/units.js";
import { unitTerms } from "lenet/network/backward.js";
import { isDense, isPooling, roleOf } from "lenet/network/layers.js";

/** The block {element, update(state, unit)} of a unit's gradient, of what `gradients` is of. */
export function createUnitBlock({ t, store }) {
  const title = h("h3", { class: "number gradient-title" });
  const told = h("p", { class: "small" });
  const work = h("div", { class: "gradient-work" });
  const element = h("div", { class: "gradient-unit" }, title, told, work);
  let shown = { key: "", block: null };

  function update({ traced, gradients, model }, { layer, index }) {
    const { input, outputs, weights, gates } = gradients.of;
    const account = unitTerms(
      traced,
      weights,
      input,
      outputs,
      gradients.outputs,
      layer,
      index,
      gates,
    );
    const value = (layer < 0 ? gradients.input : gradients.outputs[layer])[index];
    const next = traced[layer + 1];
    const sized = next?.type === "Conv2d" ? fedSize(account, next.outputShape) : null;
    const few = sized !== null && sized.rows * sized.columns > 0;
    const key = [layer, few ? Object.values(sized).join() : account.terms.length > 0].join("|");
    if (shown.key !== key || shown.traced !== traced) {
      shown = { key, traced, block: blockFor(next, layer, traced, few ? sized : null, account) };
      fill(work, shown.block?.element);
    }
    fill(title, t("backward.of"), " = ", h("strong", {}, exactly("gradient", value)));
    title.title = t("backward.meaning");
    told.textContent = sentence(next, layer, traced, account);
    shown.block?.update(shown.block.rows ? shown.block.rows(account, model) : account);
  }

  function blockFor(next, layer, traced, sized, { terms }) {
    if (next === undefined) return headBlock();
    if (terms.length === 0) return null;
    if (sized !== null) return kernelsBlock(t, traced, layer, sized);
    const factor = isDense(next.type) ? "weight" : isPooling(next.type) ? "share" : "slope";
    const feeds = t("backward.feeds", { layer: layerName(t, traced, layer + 1) });
    const heads = [feeds, t(`backward.factor.${factor}`), t("backward.its"), t("dense.product")];
    const point = isDense(next.type) ? null : (channel) => store.set({ channel });
    const table = termTable(t, heads, { point });
    const named = ({ unit, ...rest }) => ({
      ...rest,
      name: placeName(t, next.outputShape, unit),
      go: unit,
      layer: layer + 1,
    });
    return {
      ...table,
      rows: ({ terms: now, sum }) => ({ terms: now.map(named), bias: null, total: sum }),
    };
  }

  /** The last layer's: the share of each class, less 1 at the true one. */
  function headBlock() {
    const body = h("tbody");
    const column = (key) => h("th", { scope: "col", class: "number" }, t(key));
    const table = h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("softmax.class")),
          column("softmax.share"),
          column("backward.truth"),
          column("backward.less"),
        ),
      ),
      body,
    );
    return {
      element: h("div", { class: "softmax" }, h("div", { class: "scroll-x" }, table)),
      rows: () => store.get(),
      update({ gradients, model, traced, unit }) {
        const { probabilities, label } = gradients;
        const layer = traced.length - 1;
        const row = (name, i) =>
          h(
            "tr",
            { class: i === unit?.index ? "pointed" : "" },
            h(
              "th",
              { scope: "row" },
              h(
                "button",
                { type: "button", class: "plain", "data-go": i, "data-layer": layer },
                name,
              ),
            ),
            h("td", { class: "number" }, small(probabilities[i])),
            h("td", { class: "number" }, i === label ? "− 1" : "− 0"),
            h("td", { class: "number" }, exactly("less", gradients.outputs[layer][i])),
          );
        fill(body, model.network.classes.map(row));
      },
    };
  }

  function sentence(next, layer, traced, { terms }) {
    if (next === undefined) return t("backward.head");
    if (terms.length === 0) return t("backward.nothing");
    const role = roleOf(next.type);
    const name = layerName(t, traced, layer + 1);
    if (role === "convolution") return t("backward.by.convolution", { layer: name });
    if (role === "dense") return t("backward.by.dense", { layer: name });
    if (role === "pooling") return t("backward.by.pooling", { layer: name });
    return t("backward.by.activation", { layer: name });
  }

  return { element, update };
}
