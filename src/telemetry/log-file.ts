/** A log file that is rotated when it has grown: `name` is written, `name.1` is the newest of the old ones. */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface LogFile {
  write(line: string): void;
  /** Opens the path anew, after somebody else moved the file away. */
  reopen(): void;
  close(): void;
}

export interface LogFileOptions {
  readonly path: string;
  /** False begins with an empty file. */
  readonly append: boolean;
  readonly maxBytes: number;
  /** Old files kept. */
  readonly maxFiles: number;
  /** Told once per outage: a full disk must not end the program. */
  readonly onError?: (error: Error) => void;
}

/**
 * Opens the file and its folder; throws when that fails. Lines are written at once: after a crash the last one matters most, and
 * logs are not on the way of a request.
 */
export function openLogFile({ path, append, maxBytes, maxFiles, onError }: LogFileOptions): LogFile {
  let bytes = 0;
  let failing = false;
  const open = (flags: string): number => {
    const opened = openSync(path, flags, 0o640);
    bytes = fstatSync(opened).size;
    return opened;
  };
  mkdirSync(dirname(path), { recursive: true });
  let file: number | undefined = open(append ? "a" : "w");

  const close = () => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  const attempt = (act: () => void) => {
    try {
      act();
      failing = false;
    } catch (error) {
      if (!failing) onError?.(error as Error);
      failing = true;
    }
  };
  const reopen = () =>
    attempt(() => {
      close();
      file = open("a");
    });
  const rotate = () => {
    close();
    if (maxFiles === 0) rmSync(path, { force: true });
    for (let index = maxFiles; index > 0; index--) {
      const from = index === 1 ? path : `${path}.${index - 1}`;
      if (existsSync(from)) renameSync(from, `${path}.${index}`);
    }
    file = open("a");
  };
  return {
    write(line) {
      const data = Buffer.from(line);
      attempt(() => {
        file ??= open("a");
        if (bytes > 0 && bytes + data.length > maxBytes) rotate();
        bytes += writeSync(file, data);
      });
    },
    reopen,
    close,
  };
}
