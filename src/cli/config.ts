/** `config print`, `config check`, `generate-config`: each writes its text and returns the exit code. */
import { writeFileSync } from "node:fs";
import { CONFIG_FILE, type ConfigInput, defaultConfig, problemText, readConfig } from "#config/load.ts";
import { configToml, sampleToml } from "#config/render.ts";

/** Where text goes; the process's own streams unless a test listens. */
export interface Output {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

const STANDARD: Output = {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
};

const DONE = 0;
const FAILED = 1;

/** Writes the values in force as TOML, or the defaults. Problems and warnings go to stderr. */
export function printConfig(input: ConfigInput & { defaults?: boolean }, output: Output = STANDARD): number {
  if (input.defaults === true) {
    output.out(configToml(defaultConfig()));
    return DONE;
  }
  const { config, problems, warnings } = readConfig(input);
  for (const warning of warnings) output.error(`warning: ${problemText(warning)}\n`);
  if (problems.length === 0) output.out(configToml(config));
  for (const problem of problems) output.error(`error: ${problemText(problem)}\n`);
  return problems.length === 0 ? DONE : FAILED;
}

/** Reads one file and names everything that is wrong with it, each on a line with line and column. */
export function checkConfig(file: string, output: Output = STANDARD): number {
  const { problems, warnings } = readConfig({ file });
  for (const problem of problems) output.error(`error: ${problemText(problem)}\n`);
  for (const warning of warnings) output.error(`warning: ${problemText(warning)}\n`);
  const [errors, hints] = [problems.length, warnings.length];
  output.out(
    `${file}: ${errors === 0 ? "valid" : `${errors} error${plural(errors)}`}, ${hints} warning${plural(hints)}\n`,
  );
  return errors === 0 ? DONE : FAILED;
}

function plural(count: number): string {
  return count === 1 ? "" : "s";
}

/** Writes the sample with every key commented out; `-` is stdout. An existing file is overwritten, as the CDA does. */
export function generateConfig(file: string = CONFIG_FILE, output: Output = STANDARD): number {
  if (file === "-") output.out(sampleToml());
  else writeFileSync(file, sampleToml());
  return DONE;
}
