/** Which classes are mistaken for which: the matrix, each class's figures, a cell's pictures. */

import { css, signedColor, textOn } from "lenet/colors.js";
import { count, fill, h, percent } from "lenet/dom.js";
import { paintPicture } from "lenet/shared/thumbnail.js";
import { className } from "lenet/shared/words.js";

const AT_ONCE = 48; // pictures

/**
 * The matrix in `section`; `memory.confusion` keeps {run, cell}.
 *
 * `update(names)` offers these runs, the first of them to begin with; `fail(error | null)` is
 * called back, and `navigate` for a picture.
 */
export default function mountConfusion(section, { backend, t, memory, navigate, setParams, fail }) {
  memory.confusion ??= { run: null, cell: null };
  const kept = memory.confusion;
  let offered = [];
  let asked = 0;
  let shown = null; // {ref, classes, dataset, predictions, counts}

  const choice = h("select", {
    id: "matrix-run",
    onchange: () => {
      open(choice.value);
      keepPlace();
    },
  });
  const summary = h("p", { class: "muted number", role: "status" });
  const matrix = h("div", { class: "matrix-box" });
  const pictures = h("div", { class: "cell-pictures" });
  fill(
    section,
    h("h2", {}, t("compare.confusion")),
    h("p", { class: "muted small" }, t("compare.confusion-about")),
    h("label", { class: "field" }, h("span", {}, t("compare.run")), choice),
    summary,
    matrix,
    pictures,
  );

  async function open(name) {
    const mine = ++asked;
    if (name !== kept.run) Object.assign(kept, { run: name, cell: null });
    choice.value = name;
    const ref = `run:${name}`;
    summary.textContent = t("compare.computing");
    try {
      const predictions = await backend.predictions(ref);
      const dataset = await backend.dataset(predictions.data);
      if (mine !== asked) return;
      const size = dataset.classes.length;
      shown = {
        ref,
        dataset,
        predictions,
        size,
        counts: confusion(predictions.labels, predictions.predicted, size),
      };
      fail(null);
      draw();
    } catch (error) {
      if (mine !== asked) return;
      shown = null;
      fill(matrix);
      fill(pictures);
      summary.textContent = error.message;
    }
  }

  function keepPlace() {
    setParams({ matrix: kept.run, cell: kept.cell?.join("-") ?? null });
  }

  function draw() {
    const { counts, size, predictions } = shown;
    if (kept.cell?.some((at) => at >= size)) kept.cell = null; // the address said so
    let right = 0;
    for (let i = 0; i < size; i++) right += counts[i * size + i];
    const all = predictions.labels.length;
    summary.textContent = t("compare.right", {
      right: count(right),
      all: count(all),
      share: percent(right / all),
    });
    fill(matrix, grid(), classTable());
    drawPictures();
  }

  function grid() {
    const { counts, size, dataset } = shown;
    const totals = rowSums(counts, size);
    let worst = 0;
    for (let i = 0; i < size * size; i++) {
      const [row, column] = [Math.floor(i / size), i % size];
      if (row !== column && totals[row]) worst = Math.max(worst, counts[i] / totals[row]);
    }
    const cells = [];
    const [atRow, atColumn] = kept.cell ?? [0, 0];
    const table = h(
      "table",
      { class: "matrix", role: "grid", "aria-label": t("compare.confusion"), onkeydown: move },
      h(
        "thead",
        {},
        h(
          "tr",
          { role: "row" },
          h("th", { class: "corner small" }, t("compare.corner")),
          dataset.classes.map((word) =>
            h("th", { scope: "col", role: "columnheader" }, h("span", { class: "up" }, word)),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        dataset.classes.map((word, row) =>
          h(
            "tr",
            { role: "row" },
            h("th", { scope: "row", role: "rowheader" }, word),
            dataset.classes.map((_, column) => {
              const n = counts[row * size + column];
              const share = totals[row] ? n / totals[row] : 0;
              const color = row === column ? signedColor(-share, 1) : signedColor(share, worst);
              const chosen = kept.cell?.[0] === row && kept.cell?.[1] === column;
              const cell = h(
                "button",
                {
                  class: "number",
                  "data-row": row,
                  "data-column": column,
                  tabindex: row === atRow && column === atColumn ? 0 : -1,
                  "aria-pressed": String(chosen),
                  "aria-label": t(row === column ? "compare.cell-right" : "compare.cell", {
                    label: word,
                    predicted: className(dataset.classes, column),
                    n: count(n),
                    all: count(totals[row]),
                    share: percent(share),
                  }),
                  onclick: () => choose(row, column),
                },
                n === 0 ? "" : count(n),
              );
              cell.style.backgroundColor = css(color);
              cell.style.color = textOn(color);
              cells.push(cell);
              return h("td", { role: "gridcell" }, cell);
            }),
          ),
        ),
      ),
    );
    return h(
      "div",
      { class: "scroll-x" },
      table,
      h("p", { class: "muted small" }, t("compare.scale", { worst: percent(worst) })),
    );

    function move(event) {
      const at = cells.indexOf(document.activeElement);
      if (at < 0) return;
      const [row, column] = [Math.floor(at / size), at % size];
      const to = {
        ArrowLeft: [row, column - 1],
        ArrowRight: [row, column + 1],
        ArrowUp: [row - 1, column],
        ArrowDown: [row + 1, column],
        Home: [row, 0],
        End: [row, size - 1],
        PageUp: [0, column],
        PageDown: [size - 1, column],
      }[event.key];
      if (!to) return;
      event.preventDefault();
      if (Math.min(...to) < 0 || Math.max(...to) >= size) return;
      cells[at].tabIndex = -1;
      const next = cells[to[0] * size + to[1]];
      next.tabIndex = 0;
      next.focus();
    }
  }

  function choose(row, column) {
    kept.cell = [row, column];
    keepPlace();
    for (const cell of matrix.querySelectorAll("[data-row]")) {
      const here = Number(cell.dataset.row) === row && Number(cell.dataset.column) === column;
      cell.setAttribute("aria-pressed", String(here));
      cell.tabIndex = here ? 0 : -1;
    }
    drawPictures();
  }

  function classTable() {
    const { counts, size, dataset } = shown;
    const figures = perClass(counts, size);
    const number = (key) => h("th", { scope: "col", class: "number" }, t(key));
    const part = (value) => (value === null ? "–" : percent(value));
    return h(
      "table",
      { class: "per-class" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("compare.class")),
          number("compare.recall"),
          number("compare.precision"),
          number("compare.n"),
        ),
      ),
      h(
        "tbody",
        {},
        figures.map(({ recall, precision, total }, i) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, className(dataset.classes, i)),
            h("td", { class: "number" }, part(recall)),
            h("td", { class: "number" }, part(precision)),
            h("td", { class: "number" }, count(total)),
          ),
        ),
      ),
    );
  }

  /** The pictures of the chosen cell, the surest first. */
  function drawPictures() {
    fill(pictures);
    if (!shown || !kept.cell) return;
    const [row, column] = kept.cell;
    const { dataset, predictions } = shown;
    const { labels, predicted, probability } = predictions;
    const indices = [];
    labels.forEach((label, i) => {
      if (label === row && predicted[i] === column) indices.push(i);
    });
    indices.sort((a, b) => probability[b] - probability[a]);
    const names = {
      label: className(dataset.classes, row),
      predicted: className(dataset.classes, column),
      n: count(indices.length),
    };
    const list = h("ul", { class: "picture-list" });
    const more = h("button", { onclick: () => add() }, t("compare.more"));
    fill(
      pictures,
      h("h3", {}, t(row === column ? "compare.pictures-right" : "compare.pictures", names)),
      indices.length > 0 && h("p", { class: "muted small" }, t("compare.pictures-about")),
      list,
      more,
    );
    let drawn = 0;
    const of = shown;
    add();

    async function add() {
      const part = indices.slice(drawn, drawn + AT_ONCE);
      drawn += part.length;
      more.hidden = drawn >= indices.length;
      try {
        const pixels = await dataset.pixels(part);
        if (shown !== of || !list.isConnected) return;
        part.forEach((index, i) => list.append(h("li", {}, thumbnail(index, pixels[i]))));
      } catch (error) {
        fail(error);
      }
    }
  }

  function thumbnail(index, pixels) {
    const { dataset, predictions, ref } = shown;
    const label = predictions.labels[index];
    const predicted = predictions.predicted[index];
    const canvas = h("canvas", { width: 28, height: 28, "aria-hidden": "true" });
    paintPicture(canvas, pixels, dataset.shape);
    const line = (word, share) =>
      h(
        "span",
        { class: "caption" },
        h("span", { class: "word" }, word),
        " ",
        h("span", { class: "number" }, percent(share, 0)),
      );
    return h(
      "button",
      {
        class: "picture-button",
        "data-index": index,
        "aria-label": t("compare.picture", {
          index,
          label: className(dataset.classes, label),
          predicted: className(dataset.classes, predicted),
          share: percent(predictions.probability[index]),
          labelShare: percent(predictions.labelProbability[index]),
        }),
        onclick: () => navigate("explore", { model: ref, picture: index }),
      },
      canvas,
      line(className(dataset.classes, predicted), predictions.probability[index]),
      label !== predicted
        && line(className(dataset.classes, label), predictions.labelProbability[index]),
    );
  }

  return {
    update(names) {
      if (names.join("\n") === offered.join("\n")) return;
      offered = names;
      section.hidden = names.length === 0;
      fill(
        choice,
        names.map((name) => h("option", { value: name }, name)),
      );
      if (names.length === 0) return;
      const wanted = names.includes(kept.run) ? kept.run : names[0];
      choice.value = wanted;
      if (shown?.ref !== `run:${wanted}`) open(wanted);
    },
    destroy() {
      asked += 1;
    },
  };
}

/** How often each class (row) was mistaken for each (column): Uint32Array size·size. */
export function confusion(labels, predicted, size) {
  const counts = new Uint32Array(size * size);
  labels.forEach((label, i) => {
    counts[label * size + predicted[i]] += 1;
  });
  return counts;
}

/** Recall, precision and count of each class; null where there is nothing to divide by. */
export function perClass(counts, size) {
  return Array.from({ length: size }, (_, c) => {
    let [row, column] = [0, 0];
    for (let i = 0; i < size; i++) {
      row += counts[c * size + i];
      column += counts[i * size + c];
    }
    const right = counts[c * size + c];
    return {
      recall: row ? right / row : null,
      precision: column ? right / column : null,
      total: row,
    };
  });
}

function rowSums(counts, size) {
  return Array.from({ length: size }, (_, row) =>
    counts.subarray(row * size, (row + 1) * size).reduce((a, b) => a + b, 0),
  );
}
