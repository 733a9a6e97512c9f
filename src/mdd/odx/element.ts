/** What is kept of ODX XML: elements that conversion needs, with their place. Strings are shared between them. */

/** A document fragment: a container, or one diag layer in it. IDs are looked up per scope. */
export interface Scope {
  readonly file: string;
  /** SHORT-NAME of the container or layer. */
  name: string;
  /** The container's scope; itself for a container. */
  container: Scope;
  /** Diag layers of a container. */
  readonly layers: Scope[];
  readonly ids: Map<string, OdxElement>;
  /** Set when its element has been opened. */
  root: OdxElement;
}

export interface OdxElement {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly OdxElement[];
  /** Of elements without children, as written. */
  readonly text: string;
  readonly line: number;
  readonly scope: Scope;
}

/** First child with the tag. */
export function child(element: OdxElement | undefined, tag: string): OdxElement | undefined {
  return element?.children.find((one) => one.tag === tag);
}

/** Elements in a wrapper: `list(layer, "REQUESTS", "REQUEST")`. Without a member tag all of them. */
export function list(
  element: OdxElement | undefined,
  wrapper: string,
  ...tags: readonly string[]
): readonly OdxElement[] {
  const children = child(element, wrapper)?.children ?? [];
  return tags.length === 0 ? children : children.filter((one) => tags.includes(one.tag));
}

/** Text of a child as written. */
export function textOf(element: OdxElement | undefined, tag: string): string | undefined {
  return child(element, tag)?.text;
}

/** SHORT-NAME, trimmed; empty when there is none. */
export function shortName(element: OdxElement): string {
  return textOf(element, "SHORT-NAME")?.trim() ?? "";
}

/** Tag and name of an element, as the report shows them. */
export function label(element: OdxElement): string {
  const name = shortName(element) || element.attributes.ID;
  return name === undefined || name === "" ? element.tag : `${element.tag} ${name}`;
}
