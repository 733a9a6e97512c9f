/** JSON put together around texts that are finished already, so that nothing a worker wrote is parsed and written again. */
const decoder = new TextDecoder();

/** Text of a worker's JSON body; `{}` when it is empty. */
export function textOf(body: Uint8Array | undefined): string {
  return body === undefined || body.byteLength === 0 ? "{}" : decoder.decode(body);
}

/** A JSON object of members whose values are JSON texts; undefined ones are left out. */
export function objectText(members: Readonly<Record<string, string | undefined>>): string {
  let text = "";
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${value}`;
  }
  return `{${text}}`;
}

/** `object` with one more member at its end. */
export function withMember(object: string, name: string, value: string): string {
  const end = object.lastIndexOf("}");
  const head = object.slice(0, end).trimEnd();
  return `${head}${head.endsWith("{") ? "" : ","}${JSON.stringify(name)}:${value}}`;
}

/** Members of two JSON objects in one. */
export function mergeObjects(first: string, second: string): string {
  const inner = second.slice(second.indexOf("{") + 1, second.lastIndexOf("}")).trim();
  if (inner === "") return first;
  const head = first.slice(0, first.lastIndexOf("}")).trimEnd();
  return `${head}${head.endsWith("{") ? "" : ","}${inner}}`;
}
