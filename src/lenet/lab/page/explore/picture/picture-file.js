/** Picture files: what they say of themselves before anything is decoded, and their pixels. */

const LARGEST_FILE = 100e6; // bytes
const LARGEST_PICTURE = 40e6; // pixels
const SIDE = 1024; // larger pictures are reduced to it before anything else
const MARKERS_WITH_SIZE = new Set([
  0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf,
]);

/**
 * What the picture file holds: {name, width, height, rgba, columns, rows, animated, turned}.
 *
 * `width` and `height` are its own, turned as the camera says; `rgba` has columns × rows, fewer
 * where it is large: each the mean of a block. Throws an Error whose `key` and `values` say in the
 * page's language why not: no picture, too many bytes or pixels.
 */
export async function openPicture(file) {
  const name = file.name || "";
  if (file.size > LARGEST_FILE) {
    throw refusal("upload.large", { name, size: Math.round(file.size / 1e6) });
  }
  const facts = sniff(new Uint8Array(await file.arrayBuffer()));
  if (facts) checkSize(name, facts);
  else if (/svg/.test(file.type) || /\.svgz?$/i.test(name)) throw refusal("upload.svg", { name });
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw refusal("upload.no-picture", { name });
  }
  try {
    const { width, height } = bitmap;
    checkSize(name, { width, height });
    const { animated = false, turned = false } = facts ?? {};
    return { name, width, height, ...reduced(bitmap), animated, turned };
  } finally {
    bitmap.close();
  }
}

/**
 * What a file's first bytes say: {kind, width, height, animated, turned}, or null if it is none of
 * PNG, JPEG, GIF, WebP, BMP, AVIF. `turned`: the camera was held otherwise (EXIF orientation).
 * @param {Uint8Array} bytes
 * @returns {{kind: string, width?: number, height?: number, animated?: boolean,
 *   turned?: boolean} | null}
 */
export function sniff(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const has = (text, at = 0) => [...text].every((one, i) => bytes[at + i] === one.charCodeAt(0));
  try {
    if (has("\x89PNG\r\n\x1a\n")) return png(view, has);
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg(view, has);
    if (has("GIF8")) return gif(view);
    if (has("RIFF") && has("WEBP", 8)) return webp(view, has);
    if (has("BM")) {
      const [width, height] = [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
      return { kind: "bmp", width, height };
    }
    if (has("ftyp", 4) && (has("avif", 8) || has("avis", 8))) return avif(view, has);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // cut off: what decodes it will say so
  }
  return null;
}

function png(view, has) {
  const facts = { kind: "png", width: view.getUint32(16), height: view.getUint32(20) };
  for (let at = 8; at + 8 <= view.byteLength; at += 12 + view.getUint32(at)) {
    if (has("acTL", at + 4)) return { ...facts, animated: true };
    if (has("IDAT", at + 4)) break;
  }
  return facts;
}

function jpeg(view, has) {
  let turned = false;
  for (let at = 2; at + 9 <= view.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // a filler
      continue;
    }
    if (marker === 0xe1 && has("Exif\0\0", at + 4)) turned = orientation(view, at + 10) > 1;
    if (MARKERS_WITH_SIZE.has(marker)) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      return { kind: "jpeg", width, height, turned };
    }
    at += 2 + view.getUint16(at + 2);
  }
  return null;
}

/** The orientation (1 to 8) that the TIFF block at `start` gives; 1 where it gives none. */
function orientation(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, little);
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
  }
  return 1;
}

function gif(view) {
  const facts = { kind: "gif", width: view.getUint16(6, true), height: view.getUint16(8, true) };
  const table = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const blocks = (at) => {
    while (view.getUint8(at) !== 0) at += 1 + view.getUint8(at);
    return at + 1;
  };
  let frames = 0;
  try {
    let at = 13 + table(view.getUint8(10));
    while (frames < 2 && view.getUint8(at) !== 0x3b) {
      if (view.getUint8(at) === 0x2c) {
        frames += 1;
        at = blocks(at + 11 + table(view.getUint8(at + 9)));
      } else {
        at = blocks(at + 2); // an extension
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // cut off
  }
  return { ...facts, animated: frames > 1 };
}

function webp(view, has) {
  if (has("VP8X", 12)) {
    const size = (at) => 1 + view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
    return {
      kind: "webp",
      width: size(24),
      height: size(27),
      animated: (view.getUint8(20) & 2) !== 0,
    };
  }
  if (has("VP8L", 12)) {
    const bits = view.getUint32(21, true);
    return { kind: "webp", width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
  }
  const size = (at) => view.getUint16(at, true) & 0x3fff;
  return { kind: "webp", width: size(26), height: size(28) };
}

function avif(view, has) {
  const facts = { kind: "avif", animated: has("avis", 8) };
  const end = Math.min(view.byteLength - 16, 65536);
  for (let at = 0; at < end; at++) {
    if (!has("ispe", at)) continue;
    return { ...facts, width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
  }
  return facts;
}

/**
 * @param {string} name
 * @param {{width?: number, height?: number}} size
 */
function checkSize(name, { width, height }) {
  if (width * height > LARGEST_PICTURE) {
    const millions = Math.round((width * height) / 1e6);
    throw refusal("upload.huge", { name, width, height, millions });
  }
}

function refusal(key, values) {
  return Object.assign(new Error(key), { key, values });
}

/** The bitmap's colours, each pixel the mean of a block where it is larger than SIDE. */
function reduced(bitmap) {
  const { width, height } = bitmap;
  const factor = Math.max(1, Math.ceil(Math.max(width, height) / SIDE));
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const rgba = new Uint8ClampedArray(4 * rows * columns);
  const tile = factor * Math.ceil(1024 / factor); // whole blocks: a large picture fits no canvas
  const canvas = document.createElement("canvas");
  canvas.width = Math.min(tile, width);
  canvas.height = Math.min(tile, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += tile) {
    for (let left = 0; left < width; left += tile) {
      const [w, h] = [Math.min(tile, width - left), Math.min(tile, height - top)];
      context.clearRect(0, 0, w, h);
      context.drawImage(bitmap, left, top, w, h, 0, 0, w, h);
      const { data } = context.getImageData(0, 0, w, h);
      for (let y = 0; y < h; y += factor) {
        for (let x = 0; x < w; x += factor) {
          const to = 4 * (((top + y) / factor) * columns + (left + x) / factor);
          average(data, w, x, y, Math.min(x + factor, w), Math.min(y + factor, h), rgba, to);
        }
      }
    }
  }
  return { rgba, columns, rows };
}

function average(data, width, left, top, right, bottom, rgba, to) {
  let [red, green, blue, alpha] = [0, 0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const i = 4 * (y * width + x);
      const a = data[i + 3];
      red += a * data[i];
      green += a * data[i + 1];
      blue += a * data[i + 2];
      alpha += a;
    }
  }
  if (alpha === 0) return;
  rgba[to] = red / alpha;
  rgba[to + 1] = green / alpha;
  rgba[to + 2] = blue / alpha;
  rgba[to + 3] = alpha / ((bottom - top) * (right - left));
}
