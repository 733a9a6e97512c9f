/** Which parts of ODX 2.2 (ISO 22901-1) become elements. */

/** Tag of a layer by the wrapper it stands in. */
export const LAYER_TAGS: ReadonlySet<string> = new Set([
  "PROTOCOL",
  "FUNCTIONAL-GROUP",
  "ECU-SHARED-DATA",
  "BASE-VARIANT",
  "ECU-VARIANT",
]);

/** Categories that are read; other ones hold nothing that the database has a place for. */
export const CATEGORIES: ReadonlySet<string> = new Set(["DIAG-LAYER-CONTAINER", "COMPARAM-SPEC", "COMPARAM-SUBSET"]);

/** Texts for people and their administration: not converted, not worth a line in the report. */
export const SILENT: ReadonlySet<string> = new Set([
  "DESC",
  "COMPANY-DATAS",
  "COMPANY-DOC-INFOS",
  "COMPANY-REVISION-INFOS",
  "MODIFICATIONS",
]);

/** What the schema has no field for; each use is reported. */
export const LEFT_OUT: ReadonlySet<string> = new Set([
  "DIAG-VARIABLES",
  "VARIABLE-GROUPS",
  "DYN-DEFINED-SPEC",
  "SUB-COMPONENTS",
  "RELATED-DIAG-COMM-REFS",
  "POS-RESPONSE-SUPPRESSABLE",
  "EXTERNAL-ACCESS-METHOD",
]);

/** Of these the ones that ECU-SHARED-DATA cannot have without losing meaning: an error unless lenient. */
export const STRICT_IN_SHARED_DATA: ReadonlySet<string> = new Set(["DIAG-VARIABLES", "VARIABLE-GROUPS"]);

/** ADMIN-DATA matters only where the container's revision stands: `ODX/container/ADMIN-DATA`. */
export const ADMIN_DATA_DEPTH = 2;
