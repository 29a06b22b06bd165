/** A link to this place: the picture in the address, and the button that copies it. */

import { h } from "lenet/dom.js";
import { encodePixels } from "lenet/explore/picture/address.js";

const SETTLED_MS = 300; // without another stroke before a drawing is written into the address
const SHOWN_MS = 2_500; // that the button says that it has copied

/**
 * Keeps the picture in the address: {element, destroy}. A picture of a data set is there by its
 * number, any other, and one that was changed by hand, by its pixels.
 */
export function createLink(tools) {
  const { t, store, memory, setParams, announce, link = () => location.href } = tools;
  let timer = null;
  let asked = 0;
  let shown = 0;

  const button = h("button", { class: "copy-link", title: t("link.why"), onclick: copy }, chain());
  const done = h("span", { class: "link-done", hidden: true }, t("link.copied"));
  button.setAttribute("aria-label", t("link.copy"));
  const field = h("input", { readonly: true, class: "link-field" });
  field.setAttribute("aria-label", t("link.field"));
  const byHand = h("span", { class: "link-by-hand", hidden: true, onkeydown: leave }, field);
  const element = h("span", { class: "link" }, button, done, byHand);

  /** Writes the picture that is shown, at once. */
  async function write() {
    clearTimeout(timer);
    timer = null;
    const mine = ++asked;
    const { picture, pixels } = store.get();
    if (!picture || !pixels) return;
    const own = picture.source !== "data";
    const packed = own || picture.touched ? await encodePixels(pixels) : null;
    if (mine !== asked) return;
    memory.packed = packed; // what is at least as old as the picture in memory
    setParams({ picture: own ? picture.source : picture.index, pixels: packed });
  }

  async function copy() {
    await write();
    const address = link();
    try {
      await navigator.clipboard.writeText(address);
      tell();
    } catch {
      field.value = address; // no clipboard here: to be copied by hand
      byHand.hidden = false;
      field.select();
      announce(t("link.field"));
    }
  }

  function tell() {
    clearTimeout(shown);
    byHand.hidden = true;
    done.hidden = false;
    announce(t("link.copied"));
    shown = setTimeout(() => (done.hidden = true), SHOWN_MS);
  }

  function leave({ key }) {
    if (key !== "Escape") return;
    byHand.hidden = true;
    button.focus();
  }

  const unsubscribe = store.subscribe(({ picture }, changed) => {
    if (!changed.has("picture") && !changed.has("pixels")) return;
    if (picture === null) {
      asked += 1;
      setParams({ picture: null, pixels: null });
    } else if (picture.source === "data" && !picture.touched) {
      write();
    } else {
      clearTimeout(timer);
      timer = setTimeout(write, SETTLED_MS);
    }
  });

  return {
    element,
    destroy() {
      clearTimeout(timer);
      clearTimeout(shown);
      asked += 1;
      unsubscribe();
    },
  };
}

/** Two links of a chain. */
function chain() {
  const half = "M9.5 6.5 12 4a2.8 2.8 0 0 1 4 4l-3 3a2.8 2.8 0 0 1-4 0";
  const path = (d, turn) => h("path", { d, transform: turn });
  return h(
    "svg",
    { viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true" },
    path(half, null),
    path(half, "rotate(180 10 10)"),
  );
}
