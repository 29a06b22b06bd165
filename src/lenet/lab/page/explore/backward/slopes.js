/** The gradients in the figure: which are shown, and what is said of one. */

import { figure } from "lenet/shared/words.js";

/** The gradients, where the figure shows them in the place of the numbers; else null. */
export function shownSlopes({ backwards, gradients, traced }) {
  const fits = backwards === true && gradients?.outputs.length === traced?.length;
  return fits ? gradients : null;
}

/** The gradients of a layer's numbers; of the picture's for layer −1. */
export const slopesOf = ({ input, outputs }, layer) => (layer < 0 ? input : outputs[layer]);

/** " · gradient −0.0031", where gradients are shown; else "". */
export function slopeText(t, state, { layer, index }) {
  const slopes = shownSlopes(state);
  if (slopes === null) return "";
  return ` · ${t("maps.gradient", { value: figure(slopesOf(slopes, layer)[index]) })}`;
}
