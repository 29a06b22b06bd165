/** A picture's pixels as a short text for the page's address. */

const MOST = 12_000; // characters: longer addresses are cut off on their way

/**
 * The pixels deflated, as base64 for addresses; null where that is too much for one.
 * @param {Uint8Array<ArrayBuffer>} pixels
 * @returns {Promise<string | null>}
 */
export async function encodePixels(pixels) {
  const stream = new Blob([pixels]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length > (MOST * 3) / 4) return null;
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * The `size` pixels that a text says; null where it says something else, or another number of them.
 * No more than `size` bytes are unpacked.
 * @param {string} text
 * @param {number} size
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>}
 */
export async function decodePixels(text, size) {
  if (text.length > MOST) return null;
  const pixels = new Uint8Array(size);
  let at = 0;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return at === size ? pixels : null;
      if (at + value.length > size) {
        await reader.cancel();
        return null;
      }
      pixels.set(value, at);
      at += value.length;
    }
  } catch {
    return null; // no base64, or nothing that was deflated
  }
}
