/** What the server tells of its runs: one stream serves every view of the page. */

const AGAIN_MS = 2_000; // where a browser gives up, as Firefox does: tried anew
const KINDS = ["state", "run", "removed", "warnings"];

/**
 * The stream that `open()` gives, an EventSource: {listen, state, begin}.
 *
 * `listen(handlers)` calls handlers.state, .run, .removed, .warnings with what the server says and
 * .lost, .found as the connection goes and comes back; it returns the function that ends it. Who
 * listens later is told the state as it is by then. `state()` is that state; null before the first,
 * or the one that `begin(first)` gave, and while the connection is lost.
 */
export function createLive(open) {
  const listeners = new Set();
  let source = null;
  let state = null;
  let lost = false;

  function connect() {
    source = open();
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        const values = JSON.parse(event.data);
        state = after(state, kind, values);
        tell(kind, values);
      });
    }
    source.addEventListener("open", () => turn(false));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
      turn(true);
    });
  }

  function turn(nowLost) {
    if (nowLost === lost) return;
    lost = nowLost;
    tell(lost ? "lost" : "found");
  }

  function tell(kind, values) {
    for (const handlers of [...listeners]) handlers[kind]?.(values);
  }

  return {
    listen(handlers) {
      listeners.add(handlers);
      if (source === null) connect();
      if (state !== null) {
        queueMicrotask(() => {
          if (listeners.has(handlers)) handlers.state?.(state);
          if (listeners.has(handlers) && lost) handlers.lost?.();
        });
      }
      return () => listeners.delete(handlers);
    },
    state: () => (lost ? null : state),
    begin(first) {
      state ??= first;
    },
  };
}

/** The state after one more event, kept for views that begin to listen later. */
export function after(state, kind, values) {
  if (kind === "state") return values;
  if (state === null) return null;
  if (kind === "warnings") return { ...state, ...values };
  const name = kind === "run" ? values.summary.name : values.name;
  const trash = state.trash.filter((one) => one !== name);
  if (kind === "removed") {
    const runs = state.runs.filter((run) => run.name !== name);
    return { ...state, runs, trash: values.restorable ? [...trash, name] : trash };
  }
  const known = state.runs.some((run) => run.name === name);
  const runs = known
    ? state.runs.map((run) => (run.name === name ? values.summary : run))
    : [...state.runs, values.summary];
  return { ...state, runs, trash };
}
