/** The lab's page: the three views, with the server that sent it behind them. */

import { serverBackend, takeToken } from "lenet/backend.js";
import compare from "lenet/compare.js";
import explore from "lenet/explore.js";
import playground from "lenet/playground/playground.js";
import compareWords from "lenet/i18n/compare.js";
import backwardWords from "lenet/i18n/backward.js";
import exploreWords from "lenet/i18n/explore.js";
import inputWords from "lenet/i18n/input.js";
import learnWords from "lenet/i18n/learn.js";
import lessonWords from "lenet/i18n/lessons.js";
import playgroundWords from "lenet/i18n/playground.js";
import shellWords from "lenet/i18n/shell.js";
import sideWords from "lenet/i18n/sides.js";
import learn from "lenet/learn.js";
import { showPage } from "lenet/shell.js";

const { late } = await takeToken();
showPage({
  backend: serverBackend(late),
  views: { explore, learn, compare },
  sides: [playground],
  words: [
    shellWords,
    exploreWords,
    backwardWords,
    inputWords,
    learnWords,
    compareWords,
    lessonWords,
    playgroundWords,
    sideWords,
  ],
  // the training where nothing has been trained yet, else what was
  first: ({ runs }) => (runs.some(isTrained) ? "explore" : "learn"),
});

function isTrained({ status, last }) {
  return status === "finished" || (last !== null && status !== "running" && status !== "queued");
}
