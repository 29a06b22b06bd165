/** Curves in a coordinate system, by uPlot; with a marker, a reference line, and words for them. */

import { currentTheme, styleColor } from "lenet/colors.js";
import { h, oncePerFrame, show } from "lenet/dom.js";
import uPlot from "lenet/vendor/uplot.js";

// Told apart without colour, too: each has its own dashes. Contrast 3:1 or more on the paper.
const COLORS = {
  light: ["#0f5fb0", "#c44210", "#00765a", "#8a3f9c", "#7a6000", "#444441", "#b02a5b", "#3d6f00"],
  dark: ["#6db2f5", "#f58a50", "#4fd0a8", "#dd9be0", "#e0c060", "#d0d0cc", "#ff8fb0", "#a5d860"],
};
const LEAST_SPAN = 0.1; // of y: noise must not look like learning
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [12, 5], [4, 2], [1, 4], [14, 3, 4, 3]];

/** How the n-th curve is drawn: `{color, dash}`; alike after eight. */
export function lineStyle(n) {
  const colors = COLORS[currentTheme()];
  return { color: colors[n % colors.length], dash: DASHES[n % DASHES.length] };
}

/** A short piece of a curve, for legends. */
export function lineSample({ color, dash }) {
  return h(
    "svg",
    { class: "line-sample", viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" },
    h("line", {
      x1: 0,
      y1: 4,
      x2: 28,
      y2: 4,
      stroke: color,
      "stroke-width": 2,
      "stroke-dasharray": dash.join(" ") || null,
    }),
  );
}

/**
 * A chart in `container`, which grows and shrinks with it.
 *
 * `show({x, series, xRange, yRange, reference, marker, label, axis})` draws. `series`: [{name,
 * values, color, dash}], as many values as `x` has, null where there is none; `yRange`: [least,
 * most] that is kept to, or null; `reference`: {value, text} of a horizontal line, drawn where it
 * is in sight, or null; `marker`: an x, or null; `label`: the chart in words; `axis(value, values)`
 * writes a tick of y.
 * `onPick(x)` is called for a click. `onHover(index | null)`.
 * @param {Element} container
 * @param {{height?: number, onPick?: (x: number) => void,
 *   onHover?: (index: number | null) => void}} [options]
 */
export function createChart(container, { height = 220, onPick, onHover } = {}) {
  const box = h("div", { class: "chart", role: "img" });
  container.append(box);
  let plot = null;
  let shape = "";
  let given = null;

  const draw = oncePerFrame(() => {
    if (!given || !box.isConnected) return;
    box.setAttribute("aria-label", given.label);
    const data = [given.x, ...given.series.map((one) => one.values)];
    const now = JSON.stringify([given.series.map(({ name, color, dash }) => [name, color, dash])]);
    if (plot && now === shape) {
      plot.setData(data);
    } else {
      plot?.destroy();
      shape = now;
      plot = new uPlot(options(), data, box);
    }
  });

  function options() {
    const font = `12px ${getComputedStyle(box).fontFamily}`;
    const axis = {
      stroke: styleColor("--muted"),
      font,
      gap: 4,
      grid: { stroke: styleColor("--line"), width: 1 },
      ticks: { stroke: styleColor("--line"), width: 1, size: 4 },
    };
    return {
      width: Math.max(box.clientWidth, 120),
      height,
      padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: {
        drag: { x: false, y: false, setScale: false },
        y: false,
        points: { size: 7 },
      },
      scales: {
        x: { time: false, range: () => given.xRange },
        y: { range: (u, least, most) => yRange(least, most) },
      },
      axes: [
        { ...axis, size: 28, space: 44 },
        { ...axis, size: 48, values: (u, ticks) => ticks.map((tick) => given.axis(tick, ticks)) },
      ],
      series: [
        {},
        ...given.series.map(({ name, color, dash }) => ({
          label: name,
          stroke: color,
          dash,
          width: 1.75,
          spanGaps: true,
          points: { show: false },
        })),
      ],
      hooks: {
        draw: [drawReference, drawMarker, drawLonely],
        setCursor: [(u) => onHover?.(u.cursor.left < 0 ? null : (u.cursor.idx ?? null))],
        ready: [(u) => listen(u)],
      },
    };

    function drawReference(u) {
      const { reference } = given;
      if (!reference) return;
      const { min, max } = u.scales.y;
      if (!(reference.value >= min && reference.value <= max)) return;
      const y = u.valToPos(reference.value, "y", true);
      line(u, styleColor("--strong-line"), [2, 4], u.bbox.left, y, u.bbox.left + u.bbox.width, y);
      u.ctx.save();
      u.ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(box).fontFamily}`;
      u.ctx.fillStyle = styleColor("--muted");
      u.ctx.textAlign = "right";
      u.ctx.textBaseline = y - u.bbox.top < 18 * devicePixelRatio ? "top" : "bottom";
      const gap = (u.ctx.textBaseline === "top" ? 3 : -3) * devicePixelRatio;
      u.ctx.fillText(reference.text, u.bbox.left + u.bbox.width, y + gap);
      u.ctx.restore();
    }

    function drawMarker(u) {
      if (given.marker == null) return;
      const x = u.valToPos(given.marker, "x", true);
      line(u, styleColor("--ink"), [], x, u.bbox.top, x, u.bbox.top + u.bbox.height);
    }

    // a curve of a single value has no length: show it as a dot
    function drawLonely(u) {
      given.series.forEach(({ values, color }) => {
        const there = values.flatMap((value, i) => (value == null ? [] : [i]));
        if (there.length !== 1) return;
        const [i] = there;
        u.ctx.fillStyle = color;
        u.ctx.beginPath();
        u.ctx.arc(
          u.valToPos(given.x[i], "x", true),
          u.valToPos(values[i], "y", true),
          3 * devicePixelRatio,
          0,
          2 * Math.PI,
        );
        u.ctx.fill();
      });
    }
  }

  function yRange(least, most) {
    const [floor, ceiling] = given.yRange ?? [-Infinity, Infinity];
    if (least == null || most == null) return [0, 1];
    const room = Math.max((most - least) * 0.06, (LEAST_SPAN - (most - least)) / 2);
    return [Math.max(least - room, floor), Math.min(most + room, ceiling)];
  }

  function listen(u) {
    if (!onPick) return;
    u.over.addEventListener("click", (event) => {
      const { left } = u.over.getBoundingClientRect();
      onPick(u.posToVal(event.clientX - left, "x"));
    });
  }

  const watcher = new ResizeObserver(() => {
    if (plot && box.clientWidth > 0 && box.clientWidth !== plot.width) {
      plot.setSize({ width: box.clientWidth, height });
    }
  });
  watcher.observe(box);

  return {
    show(what) {
      given = what;
      draw();
    },
    destroy() {
      watcher.disconnect();
      plot?.destroy();
      plot = null;
      box.remove();
    },
  };
}

function line(u, color, dash, x0, y0, x1, y1) {
  const { ctx } = u;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
  ctx.restore();
}

/** A tick of a loss: as many decimals as the distance of the ticks needs. */
export function lossTick(value, ticks) {
  return show(value, decimals(ticks, 0));
}

/** A tick of an accuracy, in percent. */
export function accuracyTick(value, ticks) {
  return `${show(100 * value, decimals(ticks, 2))}%`;
}

function decimals(ticks, shift) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1;
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9) - shift));
}
