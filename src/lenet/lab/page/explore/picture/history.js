/** What was done, so that it can be undone. */

/**
 * A history of values that are never changed in place: {get, push, undo, redo, canUndo, canRedo}.
 *
 * `push(value, key)` adds one; pushes with the same key in a row count as one step (a slider that
 * is drawn, a square that is moved), until `settle()`. `kept` is what `dump()` gave before.
 */
export function createHistory(initial, kept = null) {
  let steps = kept?.steps ?? [{ value: initial, key: null }];
  let at = kept?.at ?? 0;

  return {
    get: () => steps[at].value,
    first: () => steps[0].value,
    push(value, key = null) {
      const merges = at > 0 && key !== null && steps[at].key === key;
      steps = [...steps.slice(0, merges ? at : at + 1), { value, key }];
      at = steps.length - 1;
      if (steps.length > 201) {
        steps = [steps[0], ...steps.slice(2)];
        at -= 1;
      }
    },
    settle() {
      steps[at] = { value: steps[at].value, key: null };
    },
    undo() {
      at = Math.max(0, at - 1);
      this.settle();
    },
    redo() {
      at = Math.min(steps.length - 1, at + 1);
      this.settle();
    },
    canUndo: () => at > 0,
    canRedo: () => at < steps.length - 1,
    dump: () => ({ steps, at }),
  };
}
