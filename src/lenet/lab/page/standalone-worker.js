/** A worker for a page that was opened from a disk: browsers let it import next to nothing. */

/**
 * A function that starts a new worker of a module. `texts`: of it and of all that it imports, by
 * their names.
 *
 * Chromium refuses such a page a worker of a module, and refuses the worker of a script every
 * import but that of data. So each module is the address of its own text.
 */
export function starter(texts, name) {
  // what is posted before the module is there would be lost
  const script = () => `
    const early = [];
    self.onmessage = (event) => early.push(event);
    import("${dataAddress(texts, name)}").then(
      () => early.forEach((event) => self.onmessage(event)),
      reportError,
    );`;
  let address;
  return () => {
    address ??= URL.createObjectURL(new Blob([script()], { type: "text/javascript" }));
    return new Worker(address);
  };
}

/** A module as a data: address, with those of the modules it imports in the place of names. */
function dataAddress(texts, name) {
  let text = texts[name];
  for (const other of Object.keys(texts)) {
    const imported = `from "${other}";`;
    if (text.includes(imported)) {
      text = text.replace(imported, `from "${dataAddress(texts, other)}";`);
    }
  }
  return `data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`;
}
