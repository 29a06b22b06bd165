/** Pictures of the test set: by class, the misread ones first, by number. */

import { count, fill, focusIn, h, percent } from "lenet/dom.js";
import {
  fittingSets,
  indexNamed,
  misread,
  numberOf,
  predictionsOf,
  readPicture,
} from "lenet/explore/picture/test-pictures.js";
import { thumbnail } from "lenet/shared/thumbnail.js";

const PAGE = 12;

/**
 * The data set's pictures in `panel`: {model, choose, nextMistake, destroy}.
 *
 * `use(picture, pixels)` is called with what was chosen. `model(model, wanted)` shows another
 * model's pictures, of the set `wanted` where it fits, and returns whether there are any.
 */
export function mountPick(panel, tools, use) {
  const { t, backend, store, memory, fail, setParams } = tools;
  const kept = (memory.pick ??= { label: "", order: "misread", page: 0 });
  let shown = null; // {model, set, predictions}
  let list = []; // the numbers of the pictures, filtered and in order
  let asked = 0; // for a data set
  let turned = 0; // to a page
  let closed = false;

  const sets = h("select", { onchange: () => openSet(shown.model, sets.value, true) });
  const setField = field("pick.data", sets);
  const label = h("select", { onchange: () => refilter({ label: label.value }) });
  const order = h(
    "select",
    { onchange: () => refilter({ order: order.value }) },
    ["misread", "number"].map((value) => h("option", { value }, t(`pick.order.${value}`))),
  );
  const orderField = field("pick.order", order);
  const number = h("input", { type: "number", min: "0", step: "1", class: "number pick-number" });
  const form = h(
    "form",
    { class: "pick-search", onsubmit: search },
    field("pick.number", number),
    h("button", { type: "submit" }, t("pick.go")),
  );
  const grid = h("div", { class: "pick-grid", role: "group", onkeydown: walk });
  const status = h("p", { class: "muted small number", "aria-live": "polite" });
  const back = h("button", { type: "button", onclick: () => turn(-1) }, "‹");
  const on = h("button", { type: "button", onclick: () => turn(1) }, "›");
  const before = h("button", { type: "button", onclick: () => move(-1) }, t("pick.previous"));
  const random = h("button", { type: "button", onclick: () => move(null) }, t("pick.random"));
  const next = h("button", { type: "button", onclick: () => move(1) }, t("pick.next"));
  back.setAttribute("aria-label", t("pick.page.back"));
  on.setAttribute("aria-label", t("pick.page.on"));
  grid.setAttribute("aria-label", t("pick.grid"));
  const filters = h(
    "div",
    { class: "pick-tools" },
    setField,
    field("pick.label", label),
    orderField,
  );
  const hint = h("p", { class: "muted small pick-hint" }, t("pick.legend"));
  const sheet = h(
    "div",
    { class: "pick-sheet", id: "pick-sheet", hidden: true, onkeydown: fold },
    filters,
    hint,
    grid,
    h("div", { class: "pick-pages" }, back, status, on, form),
  );
  const all = h("button", {
    type: "button",
    class: "pick-all",
    "aria-controls": "pick-sheet",
    onclick: () => unfold(sheet.hidden),
  });
  const body = h(
    "div",
    { class: "pick" },
    h("div", { class: "buttons pick-move" }, before, random, next, all),
    sheet,
  );
  fill(all, t("pick.sheet"));
  unfold(false);
  document.addEventListener("pointerdown", foldOutside);
  const nothing = h("p", { class: "muted", hidden: true }, t("pick.nothing"));
  fill(panel, body, nothing);

  /** Shows the sheet with all pictures, or takes it away. */
  function unfold(open) {
    sheet.hidden = !open;
    all.setAttribute("aria-expanded", String(open));
    if (open) (focusIn(grid) ?? grid.querySelector('[tabindex="0"]'))?.focus();
  }

  function fold(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    unfold(false);
    all.focus();
  }

  function foldOutside({ target }) {
    if (!sheet.hidden && !body.contains(target)) unfold(false);
  }

  function field(key, control) {
    return h("label", { class: "field" }, h("span", {}, t(key)), control);
  }

  /** Shows the pictures of a model's data; false where none fits. */
  async function model(shownModel, wanted = null) {
    if (kept.own !== shownModel.data) kept.data = null; // a model of other data begins with its own
    kept.own = shownModel.data;
    const state = await backend.state();
    if (closed) return false;
    const fitting = fittingSets(state, shownModel);
    body.hidden = fitting.length === 0;
    nothing.hidden = fitting.length > 0;
    if (fitting.length === 0) {
      shown = null;
      store.set({ mistakes: false });
      return false;
    }
    fill(
      sets,
      fitting.map((set) => h("option", { value: set.name }, set.title ?? set.name)),
    );
    setField.hidden = fitting.length < 2;
    const chosen = fitting.find((set) => set.name === (wanted ?? kept.data)) ?? fitting[0];
    sets.value = chosen.name;
    return openSet(shownModel, chosen.name);
  }

  async function openSet(shownModel, name, byHand = false) {
    const mine = ++asked;
    try {
      const [set, known] = await Promise.all([
        backend.dataset(name),
        name === shownModel.data ? predictionsOf(tools, shownModel) : null,
      ]);
      if (closed || mine !== asked) return false;
      const predictions = known?.labels.length === set.count ? known : null;
      shown = { model: shownModel, set, predictions };
      store.set({ mistakes: predictions !== null && misread(predictions).length > 0 });
      kept.data = name;
      setParams({ data: name === shownModel.data ? null : name });
      orderField.hidden = predictions === null;
      hint.hidden = predictions === null;
      order.value = kept.order;
      fill(
        label,
        h("option", { value: "" }, t("pick.all")),
        set.classes.map((text, value) => h("option", { value }, text)),
      );
      if (kept.label !== "" && Number(kept.label) >= set.classes.length) kept.label = "";
      label.value = kept.label;
      number.max = largestNumber();
      refilter(byHand ? { page: 0 } : { page: kept.page });
      return true;
    } catch (error) {
      if (!closed && mine === asked) fail(error);
      return false;
    }
  }

  function largestNumber() {
    return shown.set.numbers ? Math.max(...shown.set.numbers) : shown.set.count - 1;
  }

  function refilter(patch) {
    Object.assign(kept, { page: 0 }, patch);
    const { set, predictions } = shown;
    const wanted = kept.label === "" ? null : Number(kept.label);
    const fits = (index) => wanted === null || set.labels[index] === wanted;
    const all = Array.from({ length: set.count }, (_, i) => i);
    if (predictions && kept.order === "misread") {
      const wrong = misread(predictions);
      const isWrong = new Set(wrong);
      list = [...wrong, ...all.filter((index) => !isWrong.has(index))].filter(fits);
    } else {
      list = all.filter(fits);
    }
    showPage();
  }

  async function showPage({ focus = null } = {}) {
    const pages = Math.max(1, Math.ceil(list.length / PAGE));
    kept.page = Math.min(Math.max(kept.page, 0), pages - 1);
    const from = kept.page * PAGE;
    const indices = list.slice(from, from + PAGE);
    const { set } = shown;
    const mine = ++turned;
    back.disabled = kept.page === 0;
    on.disabled = kept.page === pages - 1;
    status.textContent =
      list.length === 0
        ? t("pick.none")
        : t("pick.range", {
            from: count(from + 1),
            to: count(from + indices.length),
            of: count(list.length),
          });
    try {
      const pictures = await set.pixels(indices);
      if (closed || mine !== turned) return;
      fill(
        grid,
        indices.map((index, i) => tile(index, pictures[i])),
      );
      mark();
      if (focus !== null) grid.children[Math.min(focus, grid.children.length - 1)]?.focus();
    } catch (error) {
      if (!closed) fail(error);
    }
  }

  function tile(index, pixels) {
    const { set, predictions, model: from } = shown;
    const is = set.classes[set.labels[index]];
    const said = predictions && from.network.classes[predictions.predicted[index]];
    const wrong = predictions && predictions.predicted[index] !== set.labels[index];
    const sure = predictions && percent(predictions.probability[index], 0);
    const values = { number: numberOf(set, index), is, said, sure };
    const key = !predictions ? "pick.tile" : wrong ? "pick.tile.wrong" : "pick.tile.right";
    return h(
      "button",
      {
        type: "button",
        class: wrong ? "pick-tile wrong" : "pick-tile",
        "data-index": index,
        tabindex: "-1",
        "aria-label": t(key, values),
        onclick: () => choose(index),
      },
      thumbnail(pixels, set.shape),
      h(
        "span",
        {},
        predictions ? said : is,
        " ",
        predictions && h("span", { class: "number muted" }, sure),
      ),
      wrong && h("span", { class: "pick-is" }, t("pick.is", { is })),
    );
  }

  /** Marks the picture that is shown in Explore; it, or the first, is in the tab order. */
  function mark() {
    const { picture } = store.get();
    const tiles = [...grid.children];
    let inOrder = tiles[0];
    for (const one of tiles) {
      const chosen =
        picture?.source === "data"
        && shown?.set.name === picture.name
        && Number(one.dataset.index) === picture.index;
      one.setAttribute("aria-pressed", chosen);
      one.tabIndex = -1;
      if (chosen) inOrder = one;
    }
    inOrder = focusIn(grid) ?? inOrder;
    if (inOrder) inOrder.tabIndex = 0;
  }

  /** Shows a picture; `unlessOther`: not where another one has come meanwhile. */
  async function choose(index, { unlessOther = false } = {}) {
    const { set, model: from } = shown;
    const before = store.get().pixels;
    try {
      const { picture, pixels } = await readPicture(set, index, from);
      const { model: now, pixels: other } = store.get();
      if (closed || now !== from || (unlessOther && other !== before)) return;
      use(picture, pixels);
    } catch (error) {
      if (!closed) fail(error);
    }
  }

  /** Arrows move among the tiles as they lie; PageUp and PageDown turn the page. */
  function walk(event) {
    const tiles = [...grid.children];
    const at = tiles.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = tiles.filter((one) => one.offsetTop === tiles[0].offsetTop).length;
    const step = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -at,
      End: tiles.length - 1 - at,
    }[event.key];
    const pages = { PageUp: -1, PageDown: 1 }[event.key];
    if (step === undefined && pages === undefined) return;
    event.preventDefault();
    if (pages !== undefined) turn(pages, at);
    else if (at + step < 0 && !back.disabled) turn(-1, tiles.length - 1);
    else if (at + step >= tiles.length && !on.disabled) turn(1, 0);
    else tiles[Math.min(Math.max(at + step, 0), tiles.length - 1)].focus();
    mark();
  }

  function turn(pages, focus = null) {
    const focused = focusIn(panel);
    kept.page += pages;
    showPage({ focus });
    if (focused?.disabled) (back.disabled ? on : back).focus();
  }

  function search(event) {
    event.preventDefault();
    if (number.value === "") return;
    const wanted = Number(number.value);
    const { set } = shown;
    const index = set.numbers ? set.numbers.indexOf(wanted) : wanted;
    if (!Number.isInteger(index) || index < 0 || index >= set.count) {
      status.textContent = t("pick.missing", { number: number.value });
      return;
    }
    reveal(index);
    choose(index);
  }

  /** Turns to the page that has a picture; without the filter, where that hides it. */
  function reveal(index) {
    if (!list.includes(index)) {
      label.value = "";
      refilter({ label: "" });
    }
    const page = Math.floor(list.indexOf(index) / PAGE);
    if (page === kept.page) return;
    kept.page = page;
    showPage();
  }

  /** Chooses the picture before or after in the list, or any. */
  function move(step) {
    if (list.length === 0) return;
    const { picture } = store.get();
    const at = picture?.source === "data" ? list.indexOf(picture.index) : -1;
    let to = Math.floor(Math.random() * list.length);
    if (step !== null) to = at < 0 ? 0 : (at + step + list.length) % list.length;
    reveal(list[to]);
    choose(list[to]);
  }

  /** Shows the next misread picture, the surest first. */
  function nextMistake() {
    if (!shown?.predictions) return;
    label.value = "";
    refilter({ label: "", order: "misread" });
    order.value = "misread";
    const wrong = misread(shown.predictions);
    const { picture } = store.get();
    const at = picture?.source === "data" ? wrong.indexOf(picture.index) : -1;
    const to = wrong[(at + 1) % wrong.length];
    reveal(to);
    choose(to);
  }

  const unsubscribe = store.subscribe((_, changed) => {
    if (changed.has("picture")) mark();
  });

  return {
    model,
    nextMistake,
    any: () => shown !== null,
    /** The picture that a text names: its number, "mistake", "right", "unsure" or "class:3". */
    indexOf: (text) => indexNamed(text, shown.set, shown.predictions),
    /** Chooses a picture by its number, or the first of the list; options as of `choose`. */
    async choose(index = null, options = {}) {
      const first = index !== null && index >= 0 && index < shown.set.count ? index : list[0];
      if (first === undefined) return;
      reveal(first);
      await choose(first, options);
    },
    destroy() {
      closed = true;
      document.removeEventListener("pointerdown", foldOutside);
      unsubscribe();
    },
  };
}
