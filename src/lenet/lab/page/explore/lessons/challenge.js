/** Challenges: five pixels that fool the network, a kernel to repair, a verdict to foresee. */

import { mountFivePixels } from "lenet/explore/lessons/five-pixels.js";
import { mountGuess } from "lenet/explore/lessons/guess.js";
import { mountRepair } from "lenet/explore/lessons/repair.js";

const CHALLENGES = { "five-pixels": mountFivePixels, repair: mountRepair, guess: mountGuess };

/** A challenge in `root`: {destroy}. `tools.done()` is called when it is met. */
export function mountChallenge(root, kind, tools) {
  return CHALLENGES[kind](root, tools);
}
