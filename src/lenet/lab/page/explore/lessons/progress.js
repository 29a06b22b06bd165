/** Which lessons were gone through, kept by the browser. */

const KEPT = "lenet-lessons";
const MOST = 200;

/** {has(id), add(id)}; where the browser keeps nothing it holds until the page is closed. */
export function createProgress(memory) {
  memory.lessonsDone ??= new Set(read());
  const done = memory.lessonsDone;
  return {
    has: (id) => done.has(id),
    add(id) {
      done.add(id);
      try {
        localStorage.setItem(KEPT, JSON.stringify([...done].slice(-MOST)));
      } catch {
        // no storage for a file on the disk
      }
    },
  };
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.filter((id) => typeof id === "string").slice(-MOST) : [];
  } catch {
    return []; // somebody else's entry, or no storage
  }
}
