/** Opening a PyTorch state dict or safetensors, for a network of the zoo or a described one. */

import { fill, h } from "lenet/dom.js";
import { shapeText } from "lenet/network/shapes.js";

const BY_ITSELF = ""; // the server finds out: from the file, or because only one network fits
const DESCRIBED = "described";

/** {button, form, destroy}: the form is shown and hidden by the button. */
export function mountOpenFile({ t, backend, openModel, announce, mayChange = true }) {
  let closed = false;
  let networks = [];

  const button = h(
    "button",
    {
      type: "button",
      "aria-expanded": "false",
      "aria-controls": "open-file",
      disabled: !mayChange,
      onclick: () => toggle(form.hidden),
    },
    t("open.title"),
  );
  const file = h("input", {
    type: "file",
    id: "open-file-input",
    accept: ".safetensors,.pt,.pth,.params,.pkl,.bin,.ckpt",
    class: "visually-hidden",
    onchange: () => {
      name.textContent = file.files[0]?.name ?? t("open.no-file");
      tell("");
    },
  });
  const name = h("span", { class: "muted small" }, t("open.no-file"));
  const network = h("select", { onchange: choose });
  const text = h("textarea", {
    rows: "13",
    spellcheck: "false",
    autocapitalize: "off",
    id: "open-text",
    oninput: () => {
      network.value = DESCRIBED; // what is written is no longer the zoo's
      tell("");
    },
  });
  const shape = h("input", { class: "number", spellcheck: "false" });
  const description = h(
    "div",
    { class: "open-description", hidden: true },
    h("label", { class: "field" }, h("span", {}, t("open.layers")), text),
    h("label", { class: "field" }, h("span", {}, t("open.shape")), shape),
  );
  const problem = h("p", { class: "failure", role: "alert", id: "open-problem" });
  const remark = h("p", { class: "small", role: "status" });
  const submit = h("button", { type: "submit", class: "primary" }, t("open.open"));
  const form = h(
    "form",
    { class: "open-file", id: "open-file", hidden: true, onsubmit: send },
    h("p", { class: "muted small" }, t("open.hint")),
    h(
      "div",
      { class: "buttons" },
      file,
      h("label", { class: "button", for: "open-file-input" }, t("open.choose")),
      name,
    ),
    h("label", { class: "field" }, h("span", {}, t("open.network")), network),
    description,
    problem,
    h("div", { class: "buttons" }, submit, remark),
  );

  async function toggle(open) {
    form.hidden = !open;
    button.setAttribute("aria-expanded", open);
    if (!open || networks.length > 0) return;
    try {
      ({ networks } = await backend.state());
    } catch (error) {
      tell(error.message);
      return;
    }
    if (closed) return;
    fill(
      network,
      h("option", { value: BY_ITSELF }, t("open.by-itself")),
      networks.map((one) => h("option", { value: one.name }, one.name)),
      h("option", { value: DESCRIBED }, t("open.described")),
    );
    choose();
  }

  /** Writes the chosen network's layers into the text, to be read or changed. */
  function choose() {
    const named = networks.find((one) => one.name === network.value);
    const chosen = named ?? (text.value === "" ? networks[0] : null); // something to begin with
    description.hidden = network.value === BY_ITSELF;
    if (chosen) {
      text.value = chosen.text;
      shape.value = shapeText(chosen.network.input_shape);
    }
    tell("");
  }

  async function send(event) {
    event.preventDefault();
    const [chosen] = file.files;
    if (!chosen) {
      tell(t("open.choose-first"));
      return;
    }
    tell("");
    remark.textContent = t("open.working");
    submit.disabled = true;
    try {
      const query = new URLSearchParams({ name: chosen.name });
      if (network.value === DESCRIBED) query.set("text", text.value);
      else if (network.value !== BY_ITSELF) query.set("network", network.value);
      if (network.value !== BY_ITSELF) query.set("shape", shape.value.replaceAll("×", "x"));
      const opened = await backend.post(`/api/models?${query}`, chosen);
      if (closed) return;
      await openModel(opened.ref);
      if (closed) return;
      remark.textContent = [t("open.done", { title: opened.title }), opened.remark]
        .filter(Boolean)
        .join(" ");
      announce(remark.textContent);
    } catch (error) {
      if (closed) return;
      remark.textContent = "";
      tell(error.message, error.line);
    } finally {
      submit.disabled = false;
    }
  }

  /** Says what is wrong, and selects the line of the text where it is. */
  function tell(message, line = null) {
    problem.textContent = message; // which begins with the line's number
    text.setAttribute("aria-invalid", Boolean(line));
    if (!line) {
      text.removeAttribute("aria-describedby");
      return;
    }
    text.setAttribute("aria-describedby", "open-problem");
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  }

  return {
    button,
    form,
    destroy() {
      closed = true;
    },
  };
}
