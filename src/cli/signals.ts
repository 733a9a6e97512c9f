/** SIGHUP calls `act` as often as it comes, in place of ending the process. Returns what ends that. */
export function onHangup(act: () => void): () => void {
  process.on("SIGHUP", act);
  return () => process.off("SIGHUP", act);
}

/** Resolves when a signal has been handled: `close` ran to its end. A second signal ends the process at once. */
export function endOnSignals(close: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => void close().then(resolve, reject);
    process.once("SIGINT", end);
    process.once("SIGTERM", end);
  });
}
