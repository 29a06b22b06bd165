/** What lights up when one points at a unit: itself, its sources, its receptive field. */

import { h } from "lenet/dom.js";
import { cellsBox, unitBox } from "lenet/explore/network/layout.js";
import { receptiveField, sources } from "lenet/network/places.js";

const MOST_LINES = 8; // source maps that lines are drawn from: more would hide the maps

/** The drawing over the figure: {element, show(traced, unit, panels, wide)}. */
export function createOverlay() {
  const halo = h("path", { class: "maps-halo" });
  const lines = h("path", { class: "maps-lines" });
  const field = h("path", { class: "maps-field" });
  const from = h("path", { class: "maps-sources" });
  const self = h("path", { class: "maps-unit" });
  const element = h(
    "svg",
    { class: "maps-overlay", "aria-hidden": "true" },
    lines,
    halo,
    field,
    from,
    self,
  );

  return {
    element,
    show(traced, unit, panels, wide) {
      const parts = unit ? marks(traced, panels, unit) : { self: null, from: [], field: null };
      const boxes = [parts.self, ...parts.from, parts.field].filter(Boolean);
      halo.setAttribute("d", boxes.map(outline).join(""));
      field.setAttribute("d", parts.field ? outline(parts.field) : "");
      from.setAttribute("d", parts.from.map(outline).join(""));
      self.setAttribute("d", parts.self ? outline(parts.self) : "");
      const few = parts.from.length <= MOST_LINES;
      lines.setAttribute(
        "d",
        few ? parts.from.map((box) => rays(box, parts.self, wide)).join("") : "",
      );
    },
  };
}

/** The rectangles of a unit, of what it is computed from, and of its field on the picture. */
function marks(traced, panels, { layer, index }) {
  const panel = panels.get(layer);
  const self = shifted(panel, unitBox(panel.arrangement, panel.shape, index));
  if (layer < 0) return { self, from: [], field: null };
  const field = layer === 0 ? null : fieldBox(traced, panels.get(-1), layer, index);
  return { self, from: sourceBoxes(traced, panels.get(layer - 1), layer, index), field };
}

function fieldBox(traced, picture, layer, index) {
  const { clip } = receptiveField(traced, layer, index);
  const first = cellsBox(picture.arrangement.tiles[0], clip);
  return shifted(picture, first);
}

function sourceBoxes(traced, below, layer, index) {
  const { channels, clip } = sources(traced, layer, index);
  const { arrangement, shape } = below;
  const all = channels.length > 1 && channels.length === shape[0];
  if (arrangement.vector) {
    if (!all) return channels.map((unit) => shifted(below, unitBox(arrangement, shape, unit)));
    const { width, height } = arrangement;
    return [shifted(below, { x: 0.5, y: 0.5, width: width - 1, height: height - 1 })];
  }
  return channels.map((channel) => shifted(below, cellsBox(arrangement.tiles[channel], clip)));
}

function shifted(panel, box) {
  return { ...box, x: box.x + panel.left, y: box.y + panel.top };
}

function outline({ x, y, width, height }) {
  return `M${x - 1} ${y - 1}h${width + 2}v${height + 2}h${-width - 2}z`;
}

/** Two lines from the corners of a source to those of the unit. */
function rays(box, self, wide) {
  const [right, bottom] = [box.x + box.width + 1, box.y + box.height + 1];
  if (wide) {
    const x = self.x - 1;
    return (
      `M${right} ${box.y - 1}L${x} ${self.y - 1}`
      + `M${right} ${bottom}L${x} ${self.y + self.height + 1}`
    );
  }
  const y = self.y - 1;
  return (
    `M${box.x - 1} ${bottom}L${self.x - 1} ${y}`
    + `M${right} ${bottom}L${self.x + self.width + 1} ${y}`
  );
}
