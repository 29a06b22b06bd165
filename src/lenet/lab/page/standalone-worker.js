/** A worker for a page that was opened from a disk: browsers let it import next to nothing. */

/**
 * A function that starts a new worker of `text`: of a module and all that it imports as one script
 * (lenet.lab.export.bundle), since such a page may have no worker of a module.
 */
export function starter(text) {
  let address;
  return () => {
    address ??= URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    return new Worker(address);
  };
}
