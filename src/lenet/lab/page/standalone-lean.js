/** The page of one file without a training in it. */

import { showFile } from "lenet/standalone.js";

showFile();
