/** What goes in: a drawing, a picture of the data set, or one of yours. */

import { fill, h, tabKeys } from "lenet/dom.js";
import { decodePixels } from "lenet/explore/picture/address.js";
import { mountDraw } from "lenet/explore/picture/draw.js";
import { mountPick } from "lenet/explore/picture/pick.js";
import { mountRetouch } from "lenet/explore/picture/retouch.js";
import { mountUpload } from "lenet/explore/picture/upload.js";
import { product } from "lenet/network/shapes.js";

const WAYS = ["draw", "data", "upload"];

/**
 * The three ways of giving the network a picture, as tabs in `section`, with the picture itself in
 * `slot`: {draw(), nextMistake(), show(asked, packed), destroy}.
 */
export default function mount(section, tools) {
  const { t, store, memory, params, fail, slot } = tools;
  // what was shown before a language or theme was changed; it is put back when its model is there
  let restored = { picture: store.get().picture, pixels: store.get().pixels };
  let wanted = params.get("picture");
  let wantedPixels = params.get("pixels");
  let wantedSet = params.get("data");
  let closed = false;
  let settling = Promise.resolve(false); // → whether there are pictures of a data set

  const panels = Object.fromEntries(
    WAYS.map((way) => [
      way,
      h("div", {
        class: `panel-${way}`,
        id: `panel-${way}`,
        role: "tabpanel",
        "aria-labelledby": `tab-${way}`,
      }),
    ]),
  );
  const tabs = WAYS.map((way) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${way}`,
        "aria-controls": `panel-${way}`,
        onclick: () => select(way, true),
      },
      t(`input.${way}`),
    ),
  );
  const list = h(
    "div",
    { class: "tabs", role: "tablist", onkeydown: (event) => tabKeys(event, tabs) },
    tabs,
  );
  list.setAttribute("aria-label", t("input.ways"));
  const pen = h("div", { class: "pen" });
  fill(
    section,
    h("h2", { class: "visually-hidden" }, t("input.title")),
    list,
    panels.draw,
    slot,
    pen,
    panels.data,
    panels.upload,
  );

  const use = (picture, pixels) => store.set({ picture, pixels });
  const draw = mountDraw(panels.draw, tools, use);
  const pick = mountPick(panels.data, tools, use);
  const upload = mountUpload(panels.upload, tools, use);
  const retouch = mountRetouch(pen, slot, tools, use);
  select(memory.tab ?? "data");

  /** Shows a tab; chosen by hand, what is on it becomes the picture. */
  function select(way, byHand = false) {
    memory.tab = way;
    section.dataset.way = way;
    WAYS.forEach((other, i) => {
      tabs[i].setAttribute("aria-selected", other === way);
      tabs[i].tabIndex = other === way ? 0 : -1;
      panels[other].hidden = other !== way;
    });
    if (!byHand) return;
    if (way === "draw" && draw.hasInk()) draw.send();
    if (way === "upload" && upload.hasPicture()) upload.send();
  }

  /** The picture for a model that has just been opened: the one that was, or a first one. */
  async function settle(model) {
    const size = product(model.network.input_shape);
    draw.model(model);
    const { picture, pixels } = store.get();
    const before = pixels ? { picture, pixels } : restored;
    restored = { picture: null, pixels: null };
    const source = before.picture?.source;
    const any = await pick.model(model, wantedSet);
    wantedSet = null;
    const now = store.get();
    if (closed || now.model !== model || now.picture !== picture) return; // something was drawn
    const ours = wantedPixels !== null && wantedPixels === memory.packed;
    const [asked, packed] = ours ? [null, null] : [wanted, wantedPixels];
    [wanted, wantedPixels] = [null, null];
    if (packed !== null && asked !== null && (await carried(asked, packed, any, model))) return;
    const ofThisSet = source === "data" && before.picture.name === memory.pick.data;
    const other = asked !== null && !(ofThisSet && before.picture.index === Number(asked));
    if (other && any) {
      select("data");
      return first(Number(asked));
    }
    if (source === "draw" && draw.hasInk())
      draw.send(); // prepared for this model's data
    else if (source === "upload" && upload.hasPicture()) upload.send();
    else if (before.picture?.touched && before.picture.name === memory.pick.data)
      use(before.picture, before.pixels);
    else if (source === "data" && any) await first(before.picture.index, before.picture.name);
    else if (before.pixels?.length === size) use(before.picture, before.pixels);
    else if (any) await first(null);
    else blank(size);
  }

  /** Shows the pixels that came in the address, and says so where they cannot be read. */
  async function carried(asked, packed, any, model) {
    const pixels = await decodePixels(packed, product(model.network.input_shape));
    if (closed || store.get().model !== model) return true;
    if (pixels === null) {
      fail(new Error(t("link.broken")));
      return false;
    }
    if (WAYS.includes(asked)) {
      select(asked);
      const name = t(asked === "draw" ? "draw.name" : "link.upload");
      use({ source: asked, index: null, label: null, name }, pixels);
      return true;
    }
    if (any) await first(Number(asked));
    const { picture } = store.get();
    if (!closed && picture) use({ ...picture, touched: true }, pixels);
    return true;
  }

  /** Shows a picture of the data set, by its number, or the first one of the list. */
  async function first(index, name = null) {
    if (name !== null && name !== memory.pick.data) index = null; // of another set
    await pick.choose(index, { unlessOther: true });
  }

  /** Nothing drawn yet: the picture of a model that no data set here fits. */
  function blank(size) {
    select("draw");
    use({ source: "draw", index: null, label: null, name: t("draw.name") }, new Uint8Array(size));
  }

  // --- a picture may be pasted or dropped anywhere in Explore

  function paste(event) {
    const pasted = [...(event.clipboardData?.files ?? [])][0];
    if (!pasted) return;
    event.preventDefault();
    receive(pasted);
  }

  function over(event) {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    section.classList.add("dropping");
  }

  function drop(event) {
    section.classList.remove("dropping");
    const [dropped] = event.dataTransfer.files;
    if (!dropped) return;
    event.preventDefault();
    receive(dropped);
  }

  function receive(file) {
    select("upload");
    upload.open(file);
  }

  const leave = (event) => {
    if (event.relatedTarget === null) section.classList.remove("dropping");
  };
  const listeners = { paste, dragover: over, drop, dragleave: leave };
  for (const [name, call] of Object.entries(listeners)) document.addEventListener(name, call);

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (!changed.has("model") || !model) return;
    settling = settle(model).then(
      () => pick.any(),
      (error) => {
        if (!closed) fail(error);
        return false;
      },
    );
  });

  return {
    /** An empty pad, ready to be drawn on. */
    draw() {
      select("draw");
      draw.begin();
    },
    nextMistake() {
      select("data");
      pick.nextMistake();
    },
    /** What a link or a lesson names: a number, "mistake", "right", "unsure", "class:3", pixels. */
    async show(asked, packed = null) {
      const any = await settling;
      const { model } = store.get();
      if (closed || !model) return;
      if (packed !== null) await carried(asked, packed, any, model);
      else if (any) {
        select("data");
        await pick.choose(pick.indexOf(asked));
      }
    },
    destroy() {
      closed = true;
      unsubscribe();
      for (const [name, call] of Object.entries(listeners)) {
        document.removeEventListener(name, call);
      }
      for (const part of [draw, pick, upload, retouch]) part.destroy();
    },
  };
}
