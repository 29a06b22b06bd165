/** The page around the views: its head with their names, language and colours; the view shown. */

import { fill, h } from "lenet/dom.js";
import { inChinese, stateInChinese } from "lenet/in-chinese.js";
import { firstLanguage, LANGUAGES, translator } from "lenet/i18n.js";

const THEMES = ["auto", "light", "dark"];
const SETTINGS = "lenet-settings";
const AGAIN_MS = 2_000; // until a server that does not answer is asked again, at the start
const FOUND_MS = 4_000; // that it is told of a server that it answers again
// Browsers refuse what changes the address too often; the strictest allows 100 changes in 30 s. So
// 20 changes may follow each other at once, and one more for each WRITE_MS that has gone by.
const WRITES_AT_ONCE = 20;
const WRITE_MS = 400;

/**
 * Shows the page: the views `{name: mount}` with their `words`. `first(state)` names the view to
 * begin with; `sides` are those of Explore's lens that not every page has.
 *
 * One view needs no navigation. A backend that does not answer is told instead.
 */
export async function showPage({ backend, views, words, first, sides = [] }) {
  const settings = readSettings();
  document.documentElement.dataset.theme = settings.theme;
  let state;
  let fault = null; // what keeps this page from changing anything: null, "missing" or "old"
  const say = translator(firstLanguage(settings.language, null), words);
  const starting = h("p", { class: "starting", role: "status" }, say("starting"));
  document.body.append(starting);
  for (;;) {
    try {
      [state, fault] = await Promise.all([backend.state(), backend.access?.() ?? null]);
      break;
    } catch (error) {
      starting.textContent = error.offline ? say("connection.lost") : error.message;
      starting.classList.add("is-lost");
      if (!error.offline) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  starting.remove();
  settings.language = firstLanguage(settings.language, state.language);
  const memory = Object.fromEntries(Object.keys(views).map((name) => [name, {}]));
  const names = Object.keys(views);
  const places = {}; // view → the address that it had last, to come back to
  const spoken = { zh: inChinese(backend) };
  const patches = {}; // of the address, not yet written
  let shownHash = null; // the address of what is shown; another one is about to be
  let waiting = 0;
  let writes = WRITES_AT_ONCE; // changes of the address that may still be made
  let counted = performance.now(); // when they were counted
  let shown = null;
  let lost = null; // whether the server is gone; null: it is there, and that is no news
  let foundTimer = null;

  const navigation = h("nav", { class: "views" });
  const controls = h("div", { class: "controls" });
  const root = h("main", { id: "view", tabindex: "-1" });
  const status = h("div", { class: "announcement", role: "status", "aria-live": "polite" });
  const skip = h("a", { class: "skip", href: "#view", onclick: skipToView });
  const looking = h("details", { class: "looking", hidden: true });
  const connection = h("p", { class: "connection", role: "status", hidden: true });
  document.body.append(
    skip,
    h(
      "header",
      { class: "head" },
      h("span", { class: "brand" }, "LeNet"),
      navigation,
      looking,
      controls,
    ),
    connection,
    root,
    status,
  );

  function skipToView(event) {
    event.preventDefault();
    root.focus();
  }

  function place() {
    const [path, query] = location.hash.slice(1).split("?");
    const name = path.replace(/^\//, "");
    return { name: name in views ? name : first(state), params: new URLSearchParams(query) };
  }

  function navigate(view, params = {}) {
    const to = hash(view, new URLSearchParams(params));
    writeParams();
    if (location.hash === to) render();
    else location.hash = to;
  }

  /**
   * Changes the address, now if possible: a reload goes to the address that is written, and a
   * change at `pagehide` comes too late for it. While a slider is dragged, some of its changes
   * wait.
   */
  function setParams(patch) {
    if (location.hash !== shownHash) return; // of the view before
    Object.assign(patches, patch);
    clearTimeout(waiting);
    const now = performance.now();
    writes = Math.min(WRITES_AT_ONCE, writes + (now - counted) / WRITE_MS);
    counted = now;
    if (writes >= 1) {
      writeParams();
    } else {
      keepPlace();
      waiting = setTimeout(writeParams, WRITE_MS);
    }
  }

  function writeParams() {
    clearTimeout(waiting);
    if (location.hash !== shownHash) return; // left: the hashchange to come drops the patches
    const to = keepPlace();
    dropPatches();
    const { name, params } = place();
    if (to === hash(name, params)) return;
    writes -= 1;
    history.replaceState(null, "", to);
    shownHash = location.hash;
  }

  /** They were written, or they are for a place that has been left. */
  function dropPatches() {
    for (const key of Object.keys(patches)) delete patches[key];
  }

  /** The address with what is to be written into it, kept for when this view is shown again. */
  function keepPlace() {
    const { name, params } = place();
    for (const [key, value] of Object.entries(patches)) {
      if (value == null) params.delete(key);
      else params.set(key, value);
    }
    places[name] = hash(name, params);
    return places[name];
  }

  function render({ keepFocus = false } = {}) {
    const t = translator(settings.language, words);
    const { name, params } = place();
    shownHash = location.hash;
    keepPlace();
    document.documentElement.lang = settings.language === "zh" ? "zh-CN" : "en";
    document.title = `${t(`view.${name}`)} · ${t("title")}`;
    skip.textContent = t("skip");
    navigation.setAttribute("aria-label", t("views"));
    fill(
      navigation,
      names.length > 1
        && names.map((view) =>
          h(
            "a",
            { href: places[view] ?? `#/${view}`, "aria-current": view === name ? "page" : null },
            t(`view.${view}`),
          ),
        ),
    );
    fill(controls, languageButton(t), themeButton(t));
    looking.hidden = fault === null;
    if (fault) {
      fill(looking, h("summary", {}, t("looking")), h("p", {}, t(`looking.${fault}`)));
    }
    drawConnection(t);
    shown?.destroy();
    root.replaceChildren();
    root.className = `view-${name}`;
    shown = views[name](root, {
      backend: spoken[settings.language] ?? backend,
      t,
      language: settings.language,
      params,
      sides,
      memory: memory[name],
      state: settings.language === "zh" ? stateInChinese(state) : state,
      mayChange: fault === null,
      navigate,
      setParams,
      link: () => new URL(keepPlace(), location.href).href,
      announce(text) {
        status.textContent = text;
      },
    });
    if (!keepFocus) root.focus({ preventScroll: true });
  }

  function languageButton(t) {
    const other = settings.language === "zh" ? "en" : "zh";
    return h(
      "button",
      {
        class: "quiet",
        id: "language",
        lang: other,
        "aria-label": `${LANGUAGES[other]}: ${t("language.other")}`,
        onclick: () => change({ language: other }, "language"),
      },
      LANGUAGES[other],
    );
  }

  function themeButton(t) {
    const next = THEMES[(THEMES.indexOf(settings.theme) + 1) % THEMES.length];
    return h(
      "button",
      {
        class: "quiet",
        id: "theme",
        "aria-label": t("theme.change", {
          now: t(`theme.${settings.theme}`),
          next: t(`theme.${next}`),
        }),
        onclick: () => change({ theme: next }, "theme"),
      },
      t(`theme.${settings.theme}`),
    );
  }

  function change(patch, button) {
    Object.assign(settings, patch);
    writeParams();
    keepSettings(settings);
    document.documentElement.dataset.theme = settings.theme;
    render({ keepFocus: true });
    document.getElementById(button)?.focus();
  }

  /** Says that the server is gone, and for a moment that it is back. */
  function drawConnection(t) {
    connection.hidden = lost === null;
    connection.classList.toggle("is-lost", lost === true);
    const text = lost === null ? "" : t(lost ? "connection.lost" : "connection.found");
    if (connection.textContent !== text) connection.textContent = text;
  }

  function turn(now) {
    lost = now;
    drawConnection(translator(settings.language, words));
  }

  /** What failed while the server was gone is asked again, and so is what this page may do. */
  async function comeBack() {
    turn(false);
    clearTimeout(foundTimer);
    foundTimer = setTimeout(() => lost === false && turn(null), FOUND_MS);
    await askAgain();
  }

  async function askAgain() {
    const before = fault;
    fault = await Promise.resolve(backend.access?.() ?? null).catch(() => before);
    if (backend.takeMissed?.() || fault !== before) {
      writeParams();
      render({ keepFocus: true });
    }
  }

  backend.events({
    state(newest) {
      state = newest;
    },
    lost: () => turn(true),
    found: comeBack,
  });
  window.addEventListener("hashchange", () => {
    dropPatches();
    render();
  });
  window.addEventListener("pagehide", writeParams);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (settings.theme !== "auto") return;
    writeParams();
    render({ keepFocus: true });
  });
  render({ keepFocus: true });
  backend.lateToken?.then(askAgain);
}

function hash(view, params) {
  const query = params.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

function readSettings() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}");
  } catch {
    // no storage for a file on the disk, or somebody else's entry: begin anew
  }
  return { language: kept.language, theme: THEMES.includes(kept.theme) ? kept.theme : "auto" };
}

function keepSettings(settings) {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(settings));
  } catch {
    // they hold until the page is closed
  }
}
