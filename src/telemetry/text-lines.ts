/** Log records as text for people: `<time> <LEVEL> <scope>: <message> {fields}`. */
import { parsedObject } from "#core/json.ts";
import { strftime } from "./strftime.ts";

const RESET = "\u001b[0m";

/** pino's level numbers, with the word and the colour on a terminal. */
const LEVELS: Readonly<Record<number, { readonly word: string; readonly colour: string }>> = {
  10: { word: "TRACE", colour: "\u001b[90m" },
  20: { word: "DEBUG", colour: "\u001b[34m" },
  30: { word: "INFO ", colour: "\u001b[32m" },
  40: { word: "WARN ", colour: "\u001b[33m" },
  50: { word: "ERROR", colour: "\u001b[31m" },
  60: { word: "FATAL", colour: "\u001b[35m" },
};

export interface TextForm {
  /** strftime. */
  readonly timeFormat: string;
  readonly colour: boolean;
}

/** One line of pino's JSON as text; a line that is no record passes unchanged. Control characters of a message are escaped. */
export function textLine(json: string, { timeFormat, colour }: TextForm): string {
  const record = parsedObject(json);
  if (record === undefined) return json;
  const { level, time, scope, msg, ...fields } = record;
  const known = LEVELS[Number(level)] ?? { word: String(level), colour: "" };
  const word = colour ? `${known.colour}${known.word}${RESET}` : known.word;
  const where = scope === undefined ? "" : ` ${printable(scope)}:`;
  const message = msg === undefined ? "" : ` ${printable(msg)}`;
  const more = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `${strftime(timeFormat, Number(time))} ${word}${where}${message}${more}\n`;
}

/** Text of others must neither begin a new record nor drive a terminal. */
function printable(text: unknown): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) => JSON.stringify(control).slice(1, -1));
}
