/** What lights up when one points at a unit: itself, and its cone through the layers below. */

import { h } from "lenet/dom.js";
import { coneOf } from "lenet/explore/network/cone.js";
import { cellsBox, unitBox } from "lenet/explore/network/layout.js";

const MOST_LINES = 8; // source maps that lines are drawn from: more would hide the maps

/** The drawing over the figure: {element, show(traced, unit, panels, options)}. */
export function createOverlay() {
  const path = (name) => h("path", { class: `maps-${name}` });
  const [band, lines, halo, cone] = ["band", "lines", "halo", "cone"].map(path);
  const [field, from, chosen, self] = ["field", "sources", "chosen", "unit"].map(path);
  const element = h("svg", { class: "maps-overlay", "aria-hidden": "true" }, [
    band,
    lines,
    halo,
    cone,
    field,
    from,
    chosen,
    self,
  ]);

  return {
    element,
    /**
     * `panels` are those that are seen, by their layers; `wide` whether they stand beside one
     * another, `beside` whether the picture stands beside them too; `channel` of the nearest layer
     * below is drawn as chosen (its unit, if `flat`).
     */
    show(traced, unit, panels, { wide, beside, channel, flat }) {
      const marks = unit && panels.has(unit.layer) ? marksOf(traced, panels, unit) : NOTHING;
      const { own, sources, between, picture } = marks;
      const outlined = [own, ...sources.boxes, ...between.flatMap((each) => each.boxes), picture];
      halo.setAttribute("d", outlined.filter(Boolean).map(outline).join(""));
      field.setAttribute("d", picture ? outline(picture) : "");
      from.setAttribute("d", sources.boxes.map(outline).join(""));
      cone.setAttribute("d", between.flatMap((each) => each.boxes.map(outline)).join(""));
      self.setAttribute("d", own ? outline(own) : "");
      const box = channel === null ? null : sources.boxOf(channel, flat);
      chosen.setAttribute("d", box ? outline(box) : "");
      const few = wide && sources.boxes.length <= MOST_LINES;
      const joined = ({ layer }) => beside || layer !== -1; // what stands above has no lines
      lines.setAttribute(
        "d",
        few && joined(sources) ? sources.boxes.map((box) => rays(box, own)).join("") : "",
      );
      const drawn = [sources, ...between].filter((part) => joined(part) && part.boxes.length > 0);
      const steps = drawn.map(around);
      if (picture && beside) steps.push(picture);
      if (own && !few) steps.unshift(own);
      band.setAttribute("d", wide ? steps.map((box, i) => bandTo(box, steps[i - 1])).join("") : "");
    },
  };
}

const NONE = { layer: null, boxes: [], channels: [], boxOf: () => null };
const NOTHING = { own: null, sources: NONE, between: [], picture: null };

/** The rectangles of a unit, of its nearest sources, of the layers between, and on the picture. */
function marksOf(traced, panels, { layer, index }) {
  const panel = panels.get(layer);
  const own = shifted(panel, unitBox(panel.arrangement, panel.shape, index));
  const seen = coneOf(traced, layer, index)
    .filter((region) => panels.has(region.layer))
    .map((region) => boxesOf(panels.get(region.layer), region));
  const nearest = seen.shift() ?? NONE;
  const last = seen.at(-1);
  const picture = last?.layer === -1 ? last.boxes[0] : null;
  return { own, sources: nearest, between: picture ? seen.slice(0, -1) : seen, picture };
}

function boxesOf(panel, { layer, channels, clip }) {
  const { arrangement, shape } = panel;
  const { vector, width, height, tiles } = arrangement;
  const boxOf = (channel, flat = vector) => {
    if (flat) return shifted(panel, unitBox(arrangement, shape, channel));
    return channels.includes(channel) ? shifted(panel, cellsBox(tiles[channel], clip)) : null;
  };
  const strip = vector && channels.length > 1 && channels.length === shape[0];
  const whole = { x: 0.5, y: 0.5, width: width - 1, height: height - 1 };
  return {
    layer,
    channels,
    boxOf,
    boxes: strip ? [shifted(panel, whole)] : channels.map((each) => boxOf(each)),
  };
}

/** The rectangle around several. */
function around({ boxes }) {
  const [x, y] = [Math.min(...boxes.map((b) => b.x)), Math.min(...boxes.map((b) => b.y))];
  const right = Math.max(...boxes.map((b) => b.x + b.width));
  const bottom = Math.max(...boxes.map((b) => b.y + b.height));
  return { x, y, width: right - x, height: bottom - y };
}

/** From the right edge of one region to the left edge of the one that is computed from it. */
function bandTo(box, above) {
  if (!above || above.x <= box.x + box.width) return "";
  const right = box.x + box.width + 1;
  return (
    `M${right} ${box.y - 1}L${above.x - 1} ${above.y - 1}V${above.y + above.height + 1}`
    + `L${right} ${box.y + box.height + 1}z`
  );
}

function shifted(panel, box) {
  return { ...box, x: box.x + panel.left, y: box.y + panel.top };
}

function outline({ x, y, width, height }) {
  return `M${x - 1} ${y - 1}h${width + 2}v${height + 2}h${-width - 2}z`;
}

/** Two lines from the corners of a source to those of the unit. */
function rays(box, self) {
  const [right, bottom] = [box.x + box.width + 1, box.y + box.height + 1];
  const x = self.x - 1;
  return (
    `M${right} ${box.y - 1}L${x} ${self.y - 1}`
    + `M${right} ${bottom}L${x} ${self.y + self.height + 1}`
  );
}
