/** A picture of your own: chosen, pasted or dropped, and prepared step by step. */

import { largest, legend, paint, signedColor } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { openPicture } from "lenet/explore/picture/picture-file.js";
import {
  borderMedians,
  boundingBox,
  centred,
  crop,
  doubt,
  fit,
  fromRgba,
  grey,
  groundOf,
  inkOf,
  inverted,
  middle,
  preparation,
  resize,
  toPixels,
} from "lenet/explore/picture/prepare.js";
import { normalize } from "lenet/network/forward.js";
import { paintPicture } from "lenet/shared/thumbnail.js";

const SHOWN = 144; // pixels at most of a step's picture
const ACCEPTED = "image/png,image/jpeg,image/gif,image/webp,image/bmp,image/avif";

/**
 * Uploading in `panel`: {open, model, send, hasPicture, destroy}.
 *
 * A picture calls `use(picture, pixels)`; `open(file)` is for what was dropped or pasted elsewhere.
 */
export function mountUpload(panel, { t, store, memory, announce }, use) {
  const kept = (memory.upload ??= { opened: null, ground: "auto", crop: "auto" });
  let asked = 0;
  let closed = false;

  const file = h("input", {
    type: "file",
    accept: ACCEPTED,
    class: "visually-hidden",
    id: "upload-file",
    onchange: () => {
      if (file.files[0]) open(file.files[0]);
      file.value = ""; // the same file again is a change, too
    },
  });
  const zone = h(
    "div",
    { class: "upload-zone" },
    file,
    h("label", { class: "button", for: "upload-file" }, t("upload.choose")),
    h("span", { class: "muted small" }, t("upload.hint")),
  );
  const choice = (name, key) => {
    const select = h(
      "select",
      {
        onchange: () => {
          kept[name] = select.value;
          send();
        },
      },
      ["auto", ...{ ground: ["light", "dark"], crop: ["ink", "whole"] }[name]].map((value) =>
        h("option", { value }, t(`${key}.${value}`)),
      ),
    );
    select.value = kept[name];
    return h("label", { class: "field" }, h("span", {}, t(key)), select);
  };
  const settings = h(
    "div",
    { class: "pick-tools", hidden: true },
    choice("ground", "upload.ground"),
    choice("crop", "upload.crop"),
  );
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const remark = h("p", { class: "muted small", hidden: true });
  const steps = h("ol", { class: "upload-steps" });
  fill(panel, zone, problem, settings, remark, steps);

  /** Opens a file; says why where it cannot be shown. */
  async function open(chosen) {
    const mine = ++asked;
    tell(null);
    forget();
    try {
      const opened = await openPicture(chosen);
      if (closed || mine !== asked) return;
      kept.opened = opened;
      send();
    } catch (error) {
      if (closed || mine !== asked) return;
      tell(error.key ? t(error.key, error.values) : error.message);
    }
  }

  /** Leaves nothing of the picture before: one that is refused must not seem to be that one. */
  function forget() {
    kept.opened = null;
    settings.hidden = true;
    remark.hidden = true;
    fill(steps);
  }

  function tell(text) {
    problem.textContent = text ?? "";
    problem.hidden = text === null;
    if (text !== null) problem.scrollIntoView({ block: "nearest" });
  }

  /** Prepares what was opened for the model, shows the steps, and hands the picture on. */
  function send() {
    const { model } = store.get();
    const { opened } = kept;
    if (!opened || !model) return;
    const done = preparedSteps(opened, model, kept);
    settings.hidden = false;
    const remarks = [
      opened.turned && t("upload.turned"),
      opened.animated && t("upload.animated"),
      done.exact && t("upload.exact"),
      done.transparent && t(done.ground ? "upload.on-white" : "upload.on-black"),
      done.doubt && t(`upload.odd.${done.doubt}`),
    ].filter(Boolean);
    remark.textContent = remarks.join(" ");
    remark.hidden = remarks.length === 0;
    remark.className = done.doubt ? "failure small" : "muted small";
    fill(
      steps,
      done.steps.map((step) => show(step, model)),
    );
    tell(done.pixels ? null : t("upload.empty"));
    if (!done.pixels) return;
    const picture = { source: "upload", index: null, label: null, name: opened.name };
    use(picture, done.pixels);
    announce(t("upload.done", { name: opened.name }));
  }

  function show({ key, values, image, pixels }, { network }) {
    const canvas = h("canvas", { class: "picture", "aria-hidden": "true" });
    const caption = h("figcaption", {}, t(`upload.step.${key}`, values));
    let detail = null;
    if (key === "normalised") {
      const [, rows, columns] = network.input_shape;
      const input = normalize(network, pixels);
      const limit = largest(input);
      paint(canvas, input.subarray(0, rows * columns), rows, columns, signedColor, limit);
      detail = legend(limit, 1);
    } else {
      paintImage(canvas, image);
      detail = h("span", { class: "muted number" }, `${image.height}×${image.width}`);
    }
    return h("li", {}, h("figure", {}, canvas, caption, detail));
  }

  return {
    open,
    send,
    hasPicture: () => kept.opened !== null,
    destroy() {
      closed = true;
    },
  };
}

/**
 * The steps from an opened picture to what the network takes: {steps: [{key, values, image}],
 * pixels, exact, transparent, ground, doubt}; pixels null where no ink was found.
 *
 * `settings.ground` is "auto", "light" (dark ink on it) or "dark"; `settings.crop` "auto", "ink" or
 * "whole". A picture that has the network's size already is taken as it is, unless told otherwise.
 */
export function preparedSteps({ rgba, columns, rows }, model, settings) {
  const { network } = model;
  const [channels, height, width] = network.input_shape;
  const how = preparation(network, model.data, model.preparation);
  const { image: colors, transparent, ground } = fromRgba(rgba, columns, rows);
  const exact = columns === width && rows === height;
  const steps = [];
  const add = (key, image, values = {}) => {
    steps.push({ key, image, values });
    return image;
  };
  const finish = (pixels) => {
    if (pixels) steps.push({ key: "normalised", values: {}, pixels });
    const odd = pixels && doubt(pixels, how);
    return { steps, pixels, exact, transparent, ground, doubt: odd };
  };

  let image = add("opened", colors);
  const colored = channels === 3;
  if (!colored) image = add("grey", grey(image));
  const asItIs = settings.ground === "auto" && (exact || how.ground === "keep");
  if (colored && settings.ground === "light") image = add("inverted", inverted(image));
  if (!colored && !asItIs) {
    const told = settings.ground === "auto" ? null : settings.ground === "light";
    const found = groundOf(image, told);
    image = add(found.light ? "dark-ink" : "light-ink", inkOf(image, found, how.digits));
  }

  const findsInk = how.fit === "digit" || how.fit === "object";
  const toInk = settings.crop === "ink" || (settings.crop === "auto" && !exact && findsInk);
  const whole = { top: 0, left: 0, bottom: rows, right: columns };
  const uncut = how.fit === "crop" ? middle(image, width / height) : whole;
  const box = toInk ? boundingBox(image) : uncut;
  if (!box) return finish(null);
  image = add(toInk ? "cropped" : "whole", crop(image, box));
  const size = toInk ? how.box : [height, width];
  const margin = toInk ? null : borderMedians(image);
  const fills = !toInk && (how.fit === "crop" || how.fit === "stretch");
  const scaled = fills ? resize(image, ...size) : fit(image, size);
  image = add("scaled", scaled, { rows: size[0], columns: size[1] });
  const centre = toInk ? how.centre : "box";
  image = add(`centred-${centre}`, centred(image, height, width, centre, margin));
  return finish(toPixels(image, channels));
}

/** Paints an image, reduced where it is large. */
function paintImage(canvas, image) {
  const small = Math.max(image.width, image.height) > SHOWN ? fit(image, [SHOWN, SHOWN]) : image;
  const channels = small.planes.length;
  paintPicture(canvas, toPixels(small, channels), [channels, small.height, small.width]);
}
