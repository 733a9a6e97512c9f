/** Strings and attribute sets that elements share: what repeats over millions of elements is held once. */

export interface Held {
  /** By value; none of them keeps a file's text alive. */
  readonly strings: Map<string, string>;
  readonly attributeSets: Map<string, Readonly<Record<string, string>>>;
}

export function createHeld(): Held {
  return { strings: new Map(), attributeSets: new Map() };
}

const NO_ATTRIBUTES: Readonly<Record<string, string>> = Object.freeze({});

/** Attributes that something reads: schema locations, ids of other tools and the like go. Equal sets are one object. */
export function keptAttributes({ strings, attributeSets }: Held, attributes: Readonly<Record<string, string>>) {
  let key = "";
  for (const name in attributes) if (isKept(name)) key += `${name}\0${attributes[name]}\0`;
  if (key === "") return NO_ATTRIBUTES;
  const known = attributeSets.get(key);
  if (known !== undefined) return known;
  const kept: Record<string, string> = {};
  for (const name in attributes)
    if (isKept(name))
      kept[name.endsWith(":type") ? "xsi:type" : shared(strings, name)] = shared(strings, attributes[name]!);
  // an element with an ID stands alone
  if (kept.ID === undefined) attributeSets.set(copied(key), kept);
  return kept;
}

function isKept(name: string): boolean {
  return !name.startsWith("xmlns") && name !== "OID" && !name.endsWith("SchemaLocation");
}

/** An equal string that is held already, or a copy: what the parser hands out are slices of the file's text. */
export function shared(strings: Map<string, string>, text: string): string {
  if (text === "") return "";
  const known = strings.get(text);
  if (known !== undefined) return known;
  const copy = copied(text);
  strings.set(copy, copy);
  return copy;
}

/** A string of its own, as narrow as its letters allow. */
function copied(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}
