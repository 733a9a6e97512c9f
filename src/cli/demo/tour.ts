/** The demo's tour: SOVD calls one after the other, each shown as the curl line that does the same. */
import { reasonOf } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";

export interface TourStep {
  readonly title: string;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Below the base path; `{name}` stands for something an earlier answer gave. */
  readonly path: string;
  readonly body?: unknown;
  readonly status: number;
  /** What later steps need of the answer, and what must be in it. Throws when it is not. */
  readonly take?: (answer: Answer) => Readonly<Record<string, string>>;
}

// biome-ignore lint/suspicious/noExplicitAny: answers are whatever the server sends; each step checks what it needs
export type Answer = any;

const ECU = "/components/central";
/** The simulated ECU's algorithm: each byte of the seed plus this. */
const KEY_OFFSET = 0x0d;
const NEW_INTERVAL_KM = 20_000;

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`expected ${what}`);
}

function keyOf(seed: string): string {
  const bytes = seed.split(" ").map((text) => Number.parseInt(text, 16));
  return bytes.map((byte) => `0x${((byte + KEY_OFFSET) & 0xff).toString(16).padStart(2, "0")}`).join(" ");
}

export const TOUR: readonly TourStep[] = [
  {
    title: "Get a token",
    method: "POST",
    path: "/authorize",
    body: { client_id: "demo", client_secret: "demo" },
    status: 200,
    take: (answer) => ({ token: answer.access_token, shell: `export TOKEN=${answer.access_token}` }),
  },
  {
    title: "Which components has this vehicle?",
    method: "GET",
    path: "/components",
    status: 200,
    take: (answer) => {
      expect(answer.items.length === 6, "six components");
      return {};
    },
  },
  {
    title: "Is the central gateway there, and which variant is it?",
    method: "GET",
    path: ECU,
    status: 200,
    take: (answer) => {
      expect(answer.variant.state === "Online", "state Online");
      return {};
    },
  },
  {
    title: "Read the vehicle identification number",
    method: "GET",
    path: `${ECU}/data/vin`,
    status: 200,
    take: (answer) => {
      expect(answer.data.VIN.length === 17, "17 characters");
      return {};
    },
  },
  {
    title: "Lock the component; from now on its session is kept alive",
    method: "POST",
    path: `${ECU}/locks`,
    body: { lock_expiration: 60 },
    status: 201,
    take: (answer) => ({ lock: answer.id }),
  },
  {
    title: "Enter the extended session",
    method: "PUT",
    path: `${ECU}/modes/session`,
    body: { value: "Extended" },
    status: 200,
  },
  {
    title: "Security access: ask for the seed",
    method: "PUT",
    path: `${ECU}/modes/security`,
    body: { value: "Level_3_RequestSeed" },
    status: 200,
    take: (answer) => ({ key: keyOf(answer.seed.Request_Seed) }),
  },
  {
    title: "Security access: send the key",
    method: "PUT",
    path: `${ECU}/modes/security`,
    body: { value: "Level_3", Key: { Send_Key: "{key}" } },
    status: 200,
  },
  {
    title: "Write the service interval",
    method: "PUT",
    path: `${ECU}/configurations/serviceinterval`,
    body: { data: { Interval: NEW_INTERVAL_KM } },
    status: 204,
  },
  {
    title: "Read it back",
    method: "GET",
    path: `${ECU}/configurations/serviceinterval`,
    status: 200,
    take: (answer) => {
      expect(answer.data.Interval === NEW_INTERVAL_KM, `an interval of ${NEW_INTERVAL_KM}`);
      return {};
    },
  },
  {
    title: "Which faults are stored?",
    method: "GET",
    path: `${ECU}/faults?status[confirmedDtc]=true`,
    status: 200,
    take: (answer) => {
      expect(answer.items.length === 1, "one fault");
      return {};
    },
  },
  { title: "Clear them", method: "DELETE", path: `${ECU}/faults`, status: 204 },
  {
    title: "Run the self test",
    method: "POST",
    path: `${ECU}/operations/selftest/executions`,
    body: { parameters: {} },
    status: 200,
  },
  { title: "Release the lock", method: "DELETE", path: `${ECU}/locks/{lock}`, status: 204 },
];

export interface TourOptions {
  readonly base: string;
  readonly say: (line: string) => void;
}

/** Walks the tour. @throws Error naming the step that failed */
export async function walkTour({ base, say }: TourOptions): Promise<void> {
  const known: Record<string, string> = {};
  for (const [index, step] of TOUR.entries()) {
    try {
      await walk(step, index + 1, base, known, say);
    } catch (error) {
      throw new Error(`step ${index + 1} (${step.title}): ${reasonOf(error)}`, { cause: error });
    }
  }
}

async function walk(
  step: TourStep,
  number: number,
  base: string,
  known: Record<string, string>,
  say: (line: string) => void,
): Promise<void> {
  const url = base + fill(step.path, known);
  const body = step.body === undefined ? undefined : fill(JSON.stringify(step.body), known);
  say(`\n${number}. ${step.title}\n   ${curl(step.method, url, body, known.token)}`);
  const startedMs = performance.now();
  const response = await fetch(url, {
    method: step.method,
    headers: {
      ...(known.token === undefined ? {} : { authorization: `Bearer ${known.token}` }),
      ...(body === undefined ? {} : { "content-type": JSON_TYPE }),
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const tookMs = performance.now() - startedMs;
  say(`   ${response.status} in ${tookMs.toFixed(1)} ms${text === "" ? "" : `  ${shorten(text)}`}`);
  if (response.status !== step.status) throw new Error(`status ${response.status} instead of ${step.status}: ${text}`);
  const taken = step.take?.(text === "" ? undefined : JSON.parse(text)) ?? {};
  if (taken.shell !== undefined) say(`   ${taken.shell}`);
  Object.assign(known, taken);
}

function fill(text: string, known: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => known[name] ?? whole);
}

function curl(method: string, url: string, body: string | undefined, token: string | undefined): string {
  return [
    "curl -g",
    ...(method === "GET" ? [] : [`-X ${method}`]),
    ...(token === undefined ? [] : ['-H "Authorization: Bearer $TOKEN"']),
    ...(body === undefined ? [] : [`-H 'Content-Type: ${JSON_TYPE}'`, `-d '${body}'`]),
    `'${url}'`,
  ].join(" ");
}

const MAX_SHOWN = 300;

function shorten(text: string): string {
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)`;
}
