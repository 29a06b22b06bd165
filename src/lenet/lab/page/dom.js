/** Elements without a framework. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set([
  "svg",
  "g",
  "path",
  "rect",
  "line",
  "circle",
  "text",
  "title",
  "polyline",
]);

/**
 * A new element: `h("button", {class: "quiet", onclick: f, "aria-label": "…"}, "text", child, …)`.
 *
 * Attributes that are functions become listeners; true sets an attribute, false, null and undefined
 * leave it away. Children are elements, texts, numbers, arrays of them, or null.
 */
export function h(tag, attributes = {}, ...children) {
  const isSvg = SVG_TAGS.has(tag);
  const element = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (name === "value" && !isSvg) element.value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

/** Puts these children, as `h` takes them, in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child != null && child !== false) element.append(child);
  }
}

/** A number as text with a real minus sign and so many decimals; NaN and infinity as words. */
export function show(value, decimals = 3) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const text = value.toFixed(decimals);
  return Number(text) < 0 ? text.replace("-", "−") : text.replace("-", "");
}

/** A count with its thousands apart: "61,706". */
export function count(value) {
  return value.toLocaleString("en");
}

/** A share as a percentage: "81.3%". */
export function percent(value, decimals = 1) {
  return `${show(100 * value, decimals)}%`;
}

/** Calls the function at most once a frame, with the newest arguments. */
export function oncePerFrame(call) {
  let waiting = null;
  return (...given) => {
    if (waiting === null) {
      requestAnimationFrame(() => {
        const newest = waiting;
        waiting = null;
        call(...newest);
      });
    }
    waiting = given;
  };
}

/**
 * The element inside of another that has the focus, or null.
 * @param {Element} element
 * @returns {any}
 */
export function focusIn(element) {
  return element.contains(document.activeElement) ? document.activeElement : null;
}

/** What keys do among tabs: arrows, Home and End choose another one. */
export function tabKeys(event, tabs) {
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs.at(to % tabs.length);
  tab.focus();
  tab.click();
}

/** Arrow keys, Home and End move the focus among a group's elements; one is in the tab order. */
export function rovingFocus(group, selector) {
  const items = () => [...group.querySelectorAll(selector)].filter((item) => !item.disabled);
  const choose = (chosen) => {
    for (const item of items()) item.tabIndex = item === chosen ? 0 : -1;
  };
  choose(items()[0]);
  group.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (item) choose(item);
  });
  group.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const to = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  });
}
