/** Numbers, times and names as the views Learn and Compare write them. */

import { count, percent, show } from "lenet/dom.js";

/** A duration: "0.8 s", "12 s", "3 min 05 s", "2 h 10 min". */
export function duration(seconds, t) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 9.95) return t("learn.seconds", { n: show(seconds, 1) });
  const whole = Math.round(seconds);
  if (whole < 60) return t("learn.seconds", { n: whole });
  const minutes = Math.floor(whole / 60);
  const two = (n) => String(n).padStart(2, "0");
  if (minutes < 60) return t("learn.minutes", { m: minutes, s: two(whole % 60) });
  return t("learn.hours", { h: Math.floor(minutes / 60), m: two(minutes % 60) });
}

/** An epoch, fractional inside: "12" after the twelfth, "12.4" on the way. */
export function epochText(epoch) {
  if (epoch == null) return "–";
  return Math.abs(epoch - Math.round(epoch)) < 5e-3 ? String(Math.round(epoch)) : show(epoch, 1);
}

/** A number with so many digits that small ones are told apart: "0.0123", "61.7", "1.2e−7". */
export function figure(value) {
  if (value == null) return "–";
  if (!Number.isFinite(value)) return show(value);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1).replace(/-/g, "−").replace("+", "");
  const decimals = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(size))));
  return show(value, decimals);
}

/** A round number as short as it is: "0.5", "−20", "5e−7". */
export function roundText(value) {
  return String(Number(value.toPrecision(2))).replace(/-/g, "−");
}

/** A loss: "0.412". */
export const lossText = (value) => (value == null ? "–" : show(value, 3));

/** An accuracy: "91.3%". */
export const accuracyText = (value) => (value == null ? "–" : percent(value, 1));

/** A count: "61,706". */
export const countText = (value) => (value == null ? "–" : count(Math.round(value)));

/** @type {Intl.DateTimeFormatOptions} */
const MOMENT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
// made once: hundreds of runs are written by it
const WHEN = {
  en: new Intl.DateTimeFormat("en-GB", MOMENT),
  zh: new Intl.DateTimeFormat("zh-CN", MOMENT),
};

/** When a run began, in the reader's own time: "21 Nov, 16:05". */
export function whenText(started, language) {
  if (!started) return "–";
  const time = new Date(started);
  if (Number.isNaN(time.getTime())) return String(started);
  return (language === "zh" ? WHEN.zh : WHEN.en).format(time);
}

/** A class by its number; the number where the data have no name for it. */
export const className = (classes, index) => classes?.[index] ?? String(index);

/** The language of a sentence of the server's, for whoever reads it aloud. */
export const languageOf = (text) => (/\p{Script=Han}/u.test(text) ? "zh-CN" : "en");

const FINDING =
  /^(Seen): (.+\.) (Why): (.+\.) (Try): (.+\.)$|^(现象)：(.+。)(原因)：(.+。)(建议)：(.+。)$/;

/** A remark's three parts, each `[label, sentence]`; null for a remark that has none. */
export function partsOf(remark) {
  const found = FINDING.exec(remark)?.slice(1).filter(Boolean);
  return found
    ? [0, 2, 4].map((at) => [
        `${found[at]}${languageOf(found[at]) === "en" ? ":" : "："}`,
        found[at + 1],
      ])
    : null;
}
