/** A network of your own: a list of layers as text, checked as you type. */

import { fill, h } from "lenet/dom.js";
import { shapeText } from "lenet/network/shapes.js";
import { countText } from "lenet/shared/words.js";

const WAIT_MS = 300;
const LEAST_ROWS = 8;
const MOST_ROWS = 26;

/**
 * The editor in `container`; `changed({text, fits})` is called when the text or what is known of it
 * changes: `fits` true, false, or null while it is being checked.
 *
 * `open(text, dataset)` begins with a text for the pictures of `{shape, classes}`; `dataset(data)`
 * checks the same text for others.
 */
export default function mountOwnNetwork(container, { backend, t, changed }) {
  let data = null;
  let timer = null;
  let asked = 0;

  const gutter = h("div", { class: "gutter number", "aria-hidden": "true" });
  const text = h("textarea", {
    id: "own-layers",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    wrap: "off",
    "aria-describedby": "own-result",
    oninput: edited,
    onscroll: () => {
      gutter.scrollTop = text.scrollTop;
    },
  });
  const result = h("div", { id: "own-result", class: "own-result", "aria-live": "polite" });
  fill(
    container,
    h("label", { class: "small muted", for: "own-layers" }, t("learn.own-label")),
    h("div", { class: "editor" }, gutter, text),
    result,
  );

  function edited() {
    drawGutter(null);
    changed({ text: text.value, fits: null });
    clearTimeout(timer);
    timer = setTimeout(check, WAIT_MS);
  }

  async function check() {
    if (!data) return;
    const mine = ++asked;
    const body = { text: text.value, input_shape: data.shape, classes: data.classes };
    try {
      const found = await backend.post("/api/networks/check", body);
      if (mine !== asked) return;
      drawGutter(null);
      fill(result, table(found, t));
      changed({ text: body.text, fits: true });
    } catch (error) {
      if (mine !== asked) return;
      drawGutter(error.line ?? null);
      fill(
        result,
        h(
          "p",
          { class: "failure" },
          error.line == null
            ? error.message
            : t("learn.line-error", { line: error.line, error: bare(error.message) }),
        ),
      );
      changed({ text: body.text, fits: false });
    }
  }

  function drawGutter(wrongLine) {
    const lines = text.value.split("\n").length;
    text.rows = Math.min(Math.max(lines, LEAST_ROWS), MOST_ROWS);
    text.setAttribute("aria-invalid", String(wrongLine !== null));
    fill(
      gutter,
      Array.from({ length: lines }, (_, i) =>
        h("div", { class: i + 1 === wrongLine ? "wrong-line" : null }, i + 1),
      ),
    );
    gutter.scrollTop = text.scrollTop;
  }

  return {
    open(newText, newData) {
      text.value = newText;
      data = newData;
      drawGutter(null);
      check();
    },
    dataset(newData) {
      data = newData;
      check();
    },
    text: () => text.value,
    destroy() {
      asked += 1;
      clearTimeout(timer);
    },
  };
}

/** The server's sentence without the line's number, which is said in the reader's language. */
const bare = (message) => message.replace(/^line \d+: |^第 \d+ 行：/, "");

function table({ rows, parameters, macs }, t) {
  const number = (word) => h("th", { scope: "col", class: "number" }, word);
  return h(
    "div",
    { class: "scroll-x", tabindex: "0", role: "region", "aria-label": t("learn.layers-table") },
    h(
      "table",
      { class: "layer-table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("learn.layer")),
          h("th", { scope: "col" }, t("learn.output")),
          number(t("learn.parameters")),
          h("th", { scope: "col" }, t("learn.formulas")),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row" },
              `${row.index} ${row.stage ? `${row.stage} ` : ""}${row.kind}`,
            ),
            h("td", { class: "number" }, shapeText(row.output_shape)),
            h("td", { class: "number" }, row.parameters ? countText(row.parameters) : ""),
            h(
              "td",
              { class: "number muted small" },
              [row.parameter_formula, row.size_formula]
                .filter(Boolean)
                .map((formula) => h("div", {}, formula)),
            ),
          ),
        ),
      ),
      h(
        "tfoot",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "row" }, t("learn.sum")),
          h("td"),
          h("td", { class: "number" }, countText(parameters)),
          h("td", { class: "number muted small" }, t("learn.macs", { n: countText(macs) })),
        ),
      ),
    ),
  );
}
