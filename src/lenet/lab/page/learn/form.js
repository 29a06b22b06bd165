/** The form of a new training: recipe, data, network, settings; the command that does the same. */

import { fill, focusIn, h, percent, show } from "lenet/dom.js";
import {
  changes,
  commandLine,
  FIELDS,
  matters,
  parsed,
  usualFor,
  settingOf,
  wrong,
} from "lenet/learn/fields.js";
import mountOwnNetwork from "lenet/learn/own-network.js";
import { countText } from "lenet/shared/words.js";

const OWN = "*own*"; // no network's name has a star

/** The form in `section`; `started(name)` is called with the run that waits or trains. */
export default function mountForm(section, { backend, t, state, memory, mayChange, started }) {
  const { recipes, networks, data } = state;
  memory.form ??= fresh(firstRecipe(recipes, data).name);
  const form = memory.form; // {recipe, data, network, text, name, values}; null: the recipe's

  const recipeOf = () => recipes.find(({ name }) => name === form.recipe) ?? recipes[0];
  const dataOf = () => data.find(({ name }) => name === (form.data ?? recipeOf().data));
  const valueFor = (key) => (key in form.values ? form.values[key] : settingOf(recipeOf(), key));
  let fits = null;
  let sending = false;
  let own = null;

  const recipeAbout = h("div", { class: "recipe-about small" });
  const dataAbout = h("p", { class: "small muted" });
  const ownBox = h("div", { class: "own" });
  const basics = h("div", { class: "fields" });
  const more = h("div", { class: "fields" });
  const command = h("code", { class: "command", tabindex: "0" });
  const copied = h("span", { class: "small muted", role: "status" });
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const start = h("button", { class: "primary", type: "submit" }, t("learn.start"));
  const name = h("input", {
    name: "name",
    autocomplete: "off",
    maxlength: 60,
    value: form.name ?? "",
    placeholder: t("learn.name-by-itself"),
    oninput: () => {
      form.name = name.value.trim() || null;
      drawState();
    },
  });
  const choices = {
    recipe: select(
      "recipe",
      recipes.map(({ name }) => [name, name]),
      changeRecipe,
    ),
    data: select(
      "data",
      data.map((one) => [one.name, dataTitle(one, t)]),
      changeData,
    ),
    network: select(
      "network",
      [...networks.map(({ name }) => [name, name]), ...(mayChange ? [[OWN, t("learn.own")]] : [])],
      changeNetwork,
    ),
  };
  fill(
    section,
    h(
      "form",
      { class: "train-form", onsubmit: submit, novalidate: true },
      field("recipe", choices.recipe),
      recipeAbout,
      field("data", choices.data),
      dataAbout,
      field("network", choices.network),
      ownBox,
      basics,
      h("details", { class: "more" }, h("summary", {}, t("learn.more")), more),
      field("name", name),
      problem,
      h("div", { class: "buttons" }, start),
      !mayChange && h("p", { class: "small muted" }, t("learn.looking-only")),
      h(
        "div",
        { class: "command-box" },
        h("div", { class: "small muted" }, t("learn.command")),
        h(
          "div",
          { class: "command-line" },
          command,
          h("button", { type: "button", class: "quiet", onclick: copy }, t("learn.copy")),
        ),
        copied,
      ),
    ),
  );

  function select(name, options, changed) {
    return h(
      "select",
      { name, onchange: (event) => changed(event.target.value) },
      options.map(([value, text]) => h("option", { value }, text)),
    );
  }

  function field(name, input) {
    return h("label", { class: "field" }, h("span", {}, t(`learn.field.${name}`)), input);
  }

  function changeRecipe(name) {
    Object.assign(form, { ...fresh(name), name: form.name });
    draw();
  }

  function changeData(name) {
    form.data = name === recipeOf().data ? null : name;
    own?.dataset(dataOf());
    drawAbout();
  }

  function changeNetwork(name) {
    if (name === OWN) {
      const from = networks.find((one) => one.name === (form.network ?? recipeOf().network));
      form.text ??= from?.text ?? networks[0].text;
      form.network = OWN;
    } else {
      form.network = name === recipeOf().network ? null : name;
    }
    drawOwn();
    drawAbout();
  }

  function change(one, value) {
    const before = valueFor("optimizer.method");
    form.values[one.key] = value;
    if (one.key === "optimizer.method" && value !== before) {
      const recipe = recipeOf();
      // back at the recipe's own optimiser: its values, not the usual ones
      const usual = usualFor(value, hasSigmoids());
      for (const key of Object.keys({ ...usualFor("adam", true), ...usual })) {
        form.values[key] =
          value === recipe.optimizer.method
            ? settingOf(recipe, key)
            : (usual[key] ?? valueFor(key));
      }
      drawFields();
    }
    drawState();
  }

  function hasSigmoids() {
    const name = form.network ?? recipeOf().network;
    const text = form.network === OWN ? form.text : networks.find((one) => one.name === name)?.text;
    return /Sigmoid/.test(text ?? "");
  }

  function draw() {
    choices.recipe.value = recipeOf().name;
    choices.data.value = dataOf()?.name ?? recipeOf().data;
    choices.network.value = form.network ?? recipeOf().network;
    drawOwn();
    drawFields();
    drawAbout();
  }

  function drawOwn() {
    const wanted = form.network === OWN;
    ownBox.hidden = !wanted;
    if (!wanted) {
      own?.destroy();
      own = null;
      fits = null;
      return;
    }
    own ??= mountOwnNetwork(ownBox, {
      backend,
      t,
      changed(what) {
        form.text = what.text;
        fits = what.fits;
        drawState();
      },
    });
    own.open(form.text, dataOf());
  }

  function drawFields() {
    const focused = focusIn(section)?.name;
    for (const [box, inMore] of [
      [basics, false],
      [more, true],
    ]) {
      fill(box, FIELDS.filter((one) => Boolean(one.more) === inMore).map(control));
    }
    if (focused) section.querySelector(`[name="${CSS.escape(focused)}"]`)?.focus();
  }

  function control(one) {
    const value = valueFor(one.key);
    const note = h("small", { class: "note-text", id: `note-${one.key}` });
    let input;
    if (one.kind === "flag") {
      input = h("input", {
        type: "checkbox",
        name: one.key,
        checked: value === true,
        onchange: () => change(one, input.checked),
      });
    } else if (one.kind === "choice") {
      input = select(
        one.key,
        one.options.map((option) => [option, option]),
        (chosen) => change(one, chosen),
      );
      input.value = value;
    } else {
      input = h("input", {
        name: one.key,
        inputmode: one.kind === "text" ? "text" : "decimal",
        autocomplete: "off",
        class: one.kind === "text" ? "" : "number",
        value,
        "aria-describedby": note.id,
        oninput: () => change(one, parsed(one, input.value)),
      });
    }
    const label = h(
      "label",
      { class: one.kind === "flag" ? "field flag" : "field", "data-key": one.key },
      h("span", {}, t(`learn.field.${one.key}`)),
      input,
      note,
    );
    return label;
  }

  /** What depends on every value: notes at the fields, which of them matter, the command. */
  function drawState() {
    const recipe = recipeOf();
    let faults = 0;
    for (const one of FIELDS) {
      const label = section.querySelector(`[data-key="${CSS.escape(one.key)}"]`);
      if (!label) continue;
      const value = valueFor(one.key);
      const fault = wrong(one, value);
      const changed = value !== settingOf(recipe, one.key);
      const useful = matters(one, valueFor);
      faults += fault && useful ? 1 : 0;
      label.hidden = !useful;
      label.classList.toggle("changed", changed);
      label.querySelector("input, select").setAttribute("aria-invalid", String(Boolean(fault)));
      const note = label.querySelector("small");
      note.className = fault ? "note-text failure" : "note-text";
      note.textContent = fault
        ? t(`learn.wrong.${fault.problem}`, fault)
        : changed
          ? t("learn.recipe-has", { value: String(settingOf(recipe, one.key)) })
          : "";
    }
    const here = dataOf()?.here ?? false;
    start.disabled =
      !mayChange || sending || faults > 0 || !here || (form.network === OWN && fits === false);
    command.textContent = commandLine(asked(), state.folder);
  }

  function drawAbout() {
    const recipe = recipeOf();
    fill(
      recipeAbout,
      h("p", {}, recipe.title),
      (recipe.published ?? []).map((row) => h("p", { class: "muted number" }, published(row, t))),
    );
    const set = dataOf();
    dataAbout.className = set?.here ? "small muted" : "small failure";
    dataAbout.textContent = set?.here
      ? t("learn.data-about", {
          train: countText(set.train),
          test: countText(set.test),
          classes: set.classes.length,
        })
      : t("learn.data-missing", { name: set?.name ?? recipe.data });
    drawState();
  }

  function asked() {
    const used = Object.fromEntries(
      FIELDS.filter((one) => matters(one, valueFor)).map(({ key }) => [key, valueFor(key)]),
    );
    return {
      recipe: recipeOf().name,
      settings: changes(recipeOf(), used),
      network: form.network === OWN ? null : form.network,
      text: form.network === OWN ? form.text : null,
      data: form.data,
      ...(form.name ? { name: form.name } : {}),
    };
  }

  async function submit(event) {
    event.preventDefault();
    if (start.disabled) return;
    sending = true;
    drawState();
    problem.hidden = true;
    try {
      const answer = await backend.post("/api/train", asked());
      form.name = null; // each has its own
      name.value = "";
      started(answer.name);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      sending = false;
      drawState();
    }
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(command.textContent);
      copied.textContent = t("learn.copied");
    } catch {
      getSelection().selectAllChildren(command); // not allowed here: chosen, for Ctrl C
      copied.textContent = t("learn.chosen");
    }
  }

  draw();
  return {
    destroy() {
      own?.destroy();
    },
  };
}

function fresh(recipe) {
  return { recipe, data: null, network: null, text: null, name: null, values: {} };
}

/** The recipe to begin with: the tutorials' where its pictures are here, else one whose are. */
function firstRecipe(recipes, data) {
  const here = new Set(data.filter((one) => one.here).map(({ name }) => name));
  const can = recipes.filter((recipe) => here.has(recipe.data));
  return can.find(({ name }) => name === "d2l") ?? can[0] ?? recipes[0];
}

function dataTitle(one, t) {
  return one.here ? one.name : t("learn.not-here", { name: one.name });
}

/** One row of published figures in words. */
function published(row, t) {
  const figures = [
    row.loss != null && `${t("learn.measure.loss")} ${show(row.loss, 3)}`,
    row.train_acc != null && `${t("learn.split.train")} ${percent(row.train_acc)}`,
    row.test_loss != null && `${t("learn.test-loss")} ${show(row.test_loss, 4)}`,
    row.test_acc != null && `${t("learn.split.test")} ${percent(row.test_acc)}`,
    row.examples_per_s != null
      && t("learn.speed-on", { n: countText(row.examples_per_s), device: row.device ?? "?" }),
  ].filter(Boolean);
  return t("learn.published", { source: row.source, figures: figures.join(t("learn.comma")) });
}
