/** What a view's parts share: one state, and who wants to know when it changes. */

/**
 * A store of an object's values.
 *
 * `get()` is the state, `set(patch)` changes it, `subscribe(call)` has `call(state, changed)`
 * called after a change, with the set of the names that changed; it returns the function that
 * ends it. Changes that are made while one is being told are told after it.
 */
export function createStore(initial) {
  let state = { ...initial };
  const listeners = new Set();
  const queue = [];
  let telling = false;

  function set(patch) {
    const changed = new Set(
      Object.keys(patch).filter((name) => !Object.is(state[name], patch[name])),
    );
    if (changed.size === 0) return;
    state = { ...state, ...patch };
    queue.push(changed);
    if (telling) return;
    telling = true;
    try {
      while (queue.length > 0) {
        const names = queue.shift();
        for (const call of [...listeners]) call(state, names);
      }
    } finally {
      queue.length = 0;
      telling = false;
    }
  }

  return {
    get: () => state,
    set,
    subscribe(call) {
      listeners.add(call);
      return () => listeners.delete(call);
    },
  };
}
