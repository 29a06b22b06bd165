/** The page of one file that can train: the engine and the pictures are in it. */

import playgroundWords from "lenet/i18n/playground.js";
import playground from "lenet/playground/playground.js";
import { showFile } from "lenet/standalone.js";

showFile([playground], [playgroundWords]);
