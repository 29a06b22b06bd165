/** Pointing at the figure's numbers: with the mouse, a finger, the keys. */

import { oncePerFrame } from "lenet/dom.js";
import { moveByKey } from "lenet/explore/network/keys.js";
import { unitAtPoint } from "lenet/explore/network/layout.js";
import { sameUnit, shapeOf, unitText } from "lenet/explore/network/units.js";
import { place, unitAt } from "lenet/network/shapes.js";

/**
 * Lets what happens in `frame` set the store's unit and pinned: {remember, forget, destroy}.
 * `panelOf(element)` is the panel that an element is in, or undefined; `source()` the {panel, flat}
 * of what the unit pointed at is computed from, or null.
 */
export function listenForPointing(frame, { store, t, announce }, { panelOf, source }) {
  const last = new Map(); // layer → the unit that was looked at there

  function point(event, pin) {
    const panel = panelOf(event.target);
    if (!panel || event.target !== panel.canvas) return;
    const index = unitAtPoint(panel.arrangement, panel.shape, event.offsetX, event.offsetY);
    if (index === null) return;
    const unit = { layer: panel.layer, index };
    const { unit: now, pinned } = store.get();
    if (pin) store.set({ unit, pinned: !(pinned && sameUnit(now, unit)) });
    else if (!sameUnit(now, unit)) store.set({ unit });
  }

  function onMove(event) {
    if (event.pointerType === "touch") return;
    if (store.get().pinned) pointAtTerm(event);
    else point(event, false);
  }

  /** While a unit is pinned, a map that it is computed from shows its term of the sum. */
  function pointAtTerm({ target, offsetX, offsetY }) {
    const read = source();
    if (!read?.panel || target !== read.panel.canvas) return;
    const { arrangement, shape } = read.panel;
    const index = unitAtPoint(arrangement, shape, offsetX, offsetY);
    if (index === null) return;
    const channel = read.flat ? index : place(shape, index).channel;
    if (channel !== store.get().channel) store.set({ channel });
  }

  function onClick(event) {
    if (event.target.closest("canvas")) point(event, true);
  }

  function onFocus({ target }) {
    const { unit, pinned, traced } = store.get();
    const panel = panelOf(target);
    if (!panel || target !== panel.element || pinned || unit?.layer === panel.layer) return;
    if (!target.matches(":focus-visible")) return; // the mouse points for itself
    store.set({ unit: last.get(panel.layer) ?? middle(traced, panel.layer) });
  }

  function onKey(event) {
    const panel = panelOf(event.target);
    const { traced, unit, pinned } = store.get();
    if (!panel || !traced || event.target !== panel.element) return;
    const from = unit?.layer === panel.layer ? unit : last.get(panel.layer);
    const now = from ?? middle(traced, panel.layer);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      store.set({ unit: now, pinned: !(pinned && sameUnit(unit, now)) });
      announce(t(store.get().pinned ? "maps.pinned" : "maps.unpinned"));
      return;
    }
    if (event.key === "Escape") {
      store.set({ unit: null, pinned: false });
      return;
    }
    const to = moveByKey(traced, now, event, panel.arrangement.strip);
    if (to === null) return;
    event.preventDefault();
    store.set({ unit: to });
    frame.querySelector(`[data-layer="${to.layer}"]`)?.focus({ preventScroll: false });
    say();
  }

  const say = oncePerFrame(() => {
    const state = store.get();
    if (state.unit && state.outputs) announce(unitText(t, state, state.unit));
  });

  const listeners = { pointermove: onMove, click: onClick, focusin: onFocus, keydown: onKey };
  for (const [name, call] of Object.entries(listeners)) frame.addEventListener(name, call);
  return {
    remember(unit) {
      if (unit) last.set(unit.layer, unit);
    },
    forget: () => last.clear(),
    destroy() {
      for (const [name, call] of Object.entries(listeners)) frame.removeEventListener(name, call);
    },
  };
}

/** The unit in the middle of a layer's first map. */
function middle(traced, layer) {
  const shape = shapeOf(traced, layer);
  const [, height = 1, width = 1] = shape;
  const [row, column] = [Math.floor(height / 2), Math.floor(width / 2)];
  return { layer, index: unitAt(shape, { channel: 0, row, column }) };
}
