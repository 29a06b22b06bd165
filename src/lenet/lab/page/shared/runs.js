/** The runs as the server tells of them: kept up to date while a view is open. */

/**
 * The runs, followed from now on; `memory` survives the view.
 *
 * `all()` has every run's summary, oldest first; `get(name)` one summary or undefined; `queue()`
 * the names that wait, in their order; `load(name)` promises a run's record and keeps it growing;
 * `warnings()` what keeps runs from being shown, `{damaged: [{name, reason}], trouble}`;
 * `groups()` the folders of runs, such as a sweep's, `{name, runs, folder}`, of the last state;
 * `record(name)` is that record or null; `trash()` the names that can be restored; `close()` ends
 * it. A record is `{summary, history, snapshots, remarks, info}`, a new one for every change.
 *
 * `changed({list, name})` is called after a change: `list` where runs came, went or changed; `name`
 * where that loaded run's record changed.
 */
export function watchRuns(backend, memory, changed) {
  let known = new Map();
  const records = new Map();
  const deleted = (memory.deleted ??= new Set()); // names; longer than this view
  const meanwhile = new Map(); // name → what came by event while the run's record was on its way
  let warnings = { damaged: [], trouble: "" };
  let groups = [];
  let heard = false;
  let closed = false;

  function onState(state) {
    heard = true;
    groups = state.groups ?? [];
    known = new Map(state.runs.map((summary) => [summary.name, summary]));
    for (const name of known.keys()) deleted.delete(name);
    for (const name of state.trash ?? []) deleted.add(name);
    for (const name of records.keys()) {
      // what was missed meanwhile
      if (known.has(name)) load(name).catch(() => records.delete(name));
      else records.delete(name);
    }
    onWarnings(state);
  }

  function onWarnings({ damaged = [], trouble = "" }) {
    warnings = { damaged, trouble };
    changed({ list: true });
  }

  function onRun({ summary, ...news }) {
    known.set(summary.name, summary);
    deleted.delete(summary.name);
    meanwhile.get(summary.name)?.push(news);
    const record = records.get(summary.name);
    if (record && record.info === null && summary.status !== "queued") {
      load(summary.name).catch(() => {}); // it has begun: what it has so far is in no event
      changed({ list: true });
    } else if (record) {
      records.set(summary.name, grown({ ...record, summary }, news));
      changed({ list: true, name: summary.name });
    } else {
      changed({ list: true });
    }
  }

  function onRemoved({ name, restorable }) {
    if (known.delete(name) && restorable) deleted.add(name);
    records.delete(name);
    changed({ list: true });
  }

  async function load(name) {
    meanwhile.set(name, []);
    const { history, snapshots, remarks, info, ...summary } = await backend.run(name);
    const record = withEpochs({ summary, history, snapshots, remarks, info });
    records.set(name, (meanwhile.get(name) ?? []).reduce(grown, record));
    meanwhile.delete(name);
    known.set(name, summary);
    if (!closed) changed({ list: true, name });
    return records.get(name);
  }

  const end = backend.events({
    state: onState,
    run: onRun,
    removed: onRemoved,
    warnings: onWarnings,
  });

  return {
    all: () => [...known.values()],
    heard: () => heard,
    get: (name) => known.get(name),
    queue: () =>
      [...known.values()].filter((run) => run.status === "queued").map((run) => run.name),
    record: (name) => records.get(name) ?? null,
    trash: () => [...deleted],
    warnings: () => warnings,
    groups: () => groups,
    load,
    close() {
      closed = true;
      end();
    },
  };
}

/**
 * A record with what is new: readings, snapshots and remarks more, `gone` (steps of snapshots that
 * were thinned out) less. A run that went on from before its last readings loses these; with
 * `reset` all of them, as the news have every one.
 */
export function grown(record, news) {
  const { readings = [], snapshots = [], remarks = [], gone = [], reset = false } = news;
  const { history } = record;
  const first = readings.length > 0 ? readings[0].step : Infinity;
  const kept = reset ? 0 : (history.step ?? []).filter((step) => step < first).length;
  const columns = new Set([...Object.keys(history), ...readings.flatMap(Object.keys)]);
  const merged = {};
  for (const column of columns) {
    const before = (history[column] ?? []).slice(0, kept);
    merged[column] = [...before, ...readings.map((reading) => reading[column] ?? null)];
  }
  const ofStep = new Map([...record.snapshots, ...snapshots].map((one) => [one.step, one]));
  for (const step of gone) ofStep.delete(step);
  return withEpochs({
    ...record,
    history: merged,
    snapshots: [...ofStep.values()].sort((a, b) => a.step - b.step),
    remarks: [...new Set([...record.remarks, ...remarks.map(textOf)])],
  });
}

/** The record with an epoch for every snapshot: of its reading, else in proportion to the steps. */
function withEpochs(record) {
  const { step: steps = [], epoch: epochs = [] } = record.history;
  const perStep = steps.length > 0 ? epochs.at(-1) / steps.at(-1) : 0;
  const snapshots = record.snapshots.map(({ step, epoch }) => ({
    step,
    epoch: epoch ?? epochs[steps.indexOf(step)] ?? step * perStep,
  }));
  return { ...record, snapshots };
}

const textOf = (remark) => (typeof remark === "string" ? remark : remark.text);

/** The run to show when the address names none: what trains, else what waits, else the newest. */
export function mostInteresting(runs) {
  const first = (...states) => runs.find((run) => states.includes(run.status));
  const found = first("running") ?? first("paused") ?? first("queued") ?? runs.at(-1);
  return found?.name ?? null;
}

/** Seconds that a run still needs, from its last reading; null where that cannot be said. */
export function secondsLeft({ summary }) {
  const { last, epochs, status } = summary;
  if (status !== "running" || !last || !(last.epoch > 0)) return null;
  return (last.wall_s / last.epoch) * Math.max(epochs - last.epoch, 0);
}

/** Calls `work(key)` for the newest key: those that come while it works replace each other. */
export function newestOnly(work) {
  let waiting = null;
  let busy = false;
  return async (key) => {
    waiting = { key };
    if (busy) return;
    busy = true;
    try {
      while (waiting) {
        const { key: now } = waiting;
        waiting = null;
        await work(now);
      }
    } finally {
      busy = false;
    }
  };
}
