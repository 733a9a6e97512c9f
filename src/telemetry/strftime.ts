/** Times in logs: the part of strftime that such formats use, in UTC. */

const two = (value: number): string => String(value).padStart(2, "0");
const three = (value: number): string => String(value).padStart(3, "0");
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAY_MS = 86_400_000;

const FIELDS: Readonly<Record<string, (time: Date) => string>> = {
  Y: (time) => String(time.getUTCFullYear()),
  y: (time) => two(time.getUTCFullYear() % 100),
  m: (time) => two(time.getUTCMonth() + 1),
  d: (time) => two(time.getUTCDate()),
  e: (time) => String(time.getUTCDate()).padStart(2),
  j: (time) => three(Math.floor((time.getTime() - Date.UTC(time.getUTCFullYear(), 0)) / DAY_MS) + 1),
  H: (time) => two(time.getUTCHours()),
  I: (time) => two(time.getUTCHours() % 12 || 12),
  p: (time) => (time.getUTCHours() < 12 ? "AM" : "PM"),
  M: (time) => two(time.getUTCMinutes()),
  S: (time) => two(time.getUTCSeconds()),
  A: (time) => DAYS[time.getUTCDay()] as string,
  a: (time) => (DAYS[time.getUTCDay()] as string).slice(0, 3),
  B: (time) => MONTHS[time.getUTCMonth()] as string,
  b: (time) => (MONTHS[time.getUTCMonth()] as string).slice(0, 3),
  s: (time) => String(Math.floor(time.getTime() / 1_000)),
  f: (time) => `${three(time.getUTCMilliseconds())}000000`,
  z: () => "+0000",
  ":z": () => "+00:00",
  Z: () => "UTC",
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

const SHORTHANDS: Readonly<Record<string, string>> = { F: "%Y-%m-%d", T: "%H:%M:%S", R: "%H:%M", D: "%m/%d/%y" };

/** Writes `timeMs` (since 1970) in a strftime format. `%.3f` is a point and milliseconds; what is unknown stays as it is. */
export function strftime(format: string, timeMs: number): string {
  const time = new Date(timeMs);
  const whole = format.replace(/%([FTRD])/g, (_, letter: string) => SHORTHANDS[letter] as string);
  return whole.replace(/%(?:\.([369])f|(:z|.))/g, (text, digits: string | undefined, letter: string | undefined) => {
    if (digits !== undefined) return `.${`${three(time.getUTCMilliseconds())}000000`.slice(0, Number(digits))}`;
    return FIELDS[letter ?? ""]?.(time) ?? text;
  });
}
