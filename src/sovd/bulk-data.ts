/** Bulk data of a component: files of any length, streamed in and out, resumable both ways. */
import { Fault, toFaultData } from "#core/errors.ts";
import { BYTES_TYPE, MULTIPART_TYPE } from "#core/media-types.ts";
import { type Static, Type } from "#core/schema.ts";
import type { Bulk, BulkInfo, BulkKey } from "#update/software/bulk/bulk.ts";
import type { SovdContext } from "./context.ts";
import { errorObjectAt } from "./errors.ts";
import { resourceNotFound } from "./guard.ts";
import { type Answer, type AnyRequest, type Route, route } from "./route.ts";
import { DataErrors, items, NO_CONTENT, ok } from "./schemas.ts";
import { permit, updatesOf } from "./updates.ts";

const COMPONENT = "/components/{component}/bulk-data" as const;
const CATEGORY = `${COMPONENT}/{category}` as const;
const FILE = `${CATEGORY}/{id}` as const;
const tag = "bulk-data";
const ANY_TYPES = [MULTIPART_TYPE, BYTES_TYPE];

const Name = Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,127}$" });
const CategoryParams = Type.Object({ component: Type.String(), category: Name });
const FileParams = Type.Object({ component: Type.String(), category: Name, id: Name });

const Item = Type.Object({
  id: Type.String(),
  name: Type.String(),
  size: Type.Integer(),
  mimetype: Type.String(),
  mime_type: Type.String(),
  hash: Type.Optional(Type.String()),
  hash_algorithm: Type.Optional(Type.Literal("sha256")),
  "x-complete": Type.Boolean(),
});
const UploadState = Type.Object({
  offset: Type.Integer(),
  complete: Type.Boolean(),
  sha256: Type.Optional(Type.String()),
});
const Deleted = Type.Object({ deleted_ids: Type.Array(Type.String()), errors: DataErrors });

function show({ id, name, mimetype, size, sha256, complete, createdAt }: BulkInfo): Record<string, unknown> {
  return {
    id,
    name,
    size,
    mimetype,
    mime_type: mimetype,
    ...(complete ? { hash: sha256, hash_algorithm: "sha256" } : {}),
    creation_date: new Date(createdAt).toISOString(),
    "x-complete": complete,
  };
}

const ListQuery = Type.Object({
  "created-after": Type.Optional(Type.String()),
  "created-before": Type.Optional(Type.String()),
});

/** Milliseconds since 1970 of a query's date; `otherwise` when it is not asked for. @throws Fault badRequest */
function timeOf(name: string, date: string | undefined, otherwise: number): number {
  const time = date === undefined ? otherwise : Date.parse(date);
  if (Number.isNaN(time))
    throw new Fault("badRequest", `Failed to deserialize query string: ${name}: ${date} is no date`);
  return time;
}

interface Place {
  readonly params: { readonly component: string; readonly category: string; readonly id?: string };
  readonly path: string;
}

/** The store of a component that is there; 404 for one that is not. */
function bulkOf(
  { params, path }: { params: Pick<Place["params"], "component">; path: string },
  context: SovdContext,
): Bulk {
  const updates = updatesOf(context);
  if (!updates.knows(params.component)) throw resourceNotFound({ shownPath: path });
  return updates.bulk;
}

/** The same for a caller who may change it: what an update is made of, and the image that an ECU goes back to. @throws Fault forbidden */
async function bulkToChange(
  request: Place & Pick<AnyRequest, "claims">,
  context: SovdContext,
  action: "upload" | "remove",
): Promise<Bulk> {
  const bulk = bulkOf(request, context);
  const { component, category, id } = request.params;
  const place = id === undefined ? category : `${category}/${id}`;
  await permit(request, context, { id: place, targets: [component], action });
  return bulk;
}

/** @throws Fault notFound, storageBusy while it is being written, updateInProgress while an update needs it */
function removeFree(context: SovdContext, file: BulkKey): Promise<void> {
  const updates = updatesOf(context);
  updates.requireFree(file);
  return updates.bulk.remove(file);
}

/** File name of a Content-Disposition, without folders. */
function fileName(disposition: string): string | undefined {
  const match = /filename="?([^";]+)"?/i.exec(disposition);
  return match?.[1]?.split(/[/\\]/).at(-1);
}

interface Range {
  readonly from: number;
  /** Behind the last byte. */
  readonly to: number;
  readonly total: number;
}

/** `bytes a-b/total` of an upload; undefined when the whole is sent. @throws Fault badRequest */
function contentRange(header: string): Range | undefined {
  if (header === "") return undefined;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header);
  const [from = 0, last = 0, total = 0] = (match?.slice(1) ?? []).map(Number);
  if (match === null || from > last || last >= total) throw new Fault("badRequest", `Bad Content-Range: ${header}`);
  return { from, to: last + 1, total };
}

/** The part a client asks for; undefined for the whole, which is also the answer to what we do not understand (RFC 9110, 14.2). */
function requestedRange(header: string, size: number): { from: number; to: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header.trim());
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [first, last] = [match[1] ?? "", match[2] ?? ""];
  const from = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (from >= size || from >= to) throw new Fault("rangeNotSatisfiable", `The file has ${size} bytes`, { size });
  return { from, to };
}

/** Exactly so many bytes: fewer is a cut upload, more is not what was said. */
async function* exactly(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > bytes) throw new Fault("badRequest", `The body is longer than the ${bytes} bytes of its range`);
    yield chunk;
  }
  if (size < bytes) throw new Fault("badRequest", `The body has ${size} of the ${bytes} bytes of its range`);
}

/** The weak comparison of RFC 9110, 13.1.2: what stands between may have marked the tag as weak. */
function isKnown(etag: string, ifNoneMatch: string): boolean {
  const tags = ifNoneMatch.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

function download(bulk: Bulk, info: BulkInfo, rangeHeader: string, ifRange: string, ifNoneMatch: string): Answer {
  const etag = `"${info.sha256}"`;
  const common = {
    ETag: etag,
    "Accept-Ranges": "bytes",
    "Content-Disposition": `attachment; filename="${info.name.replace(/[^\w. -]/g, "_")}"`,
  };
  if (isKnown(etag, ifNoneMatch)) return { status: 304, headers: common };
  const range = ifRange === "" || ifRange === etag ? requestedRange(rangeHeader, info.size) : undefined;
  const { from, to } = range ?? { from: 0, to: info.size };
  const chunks = bulk.chunks(info, from, to);
  const stream = { sizeBytes: to - from, chunks, close: () => void chunks.return() };
  const headers = range === undefined ? common : { ...common, "Content-Range": `bytes ${from}-${to - 1}/${info.size}` };
  return { status: range === undefined ? 200 : 206, headers, stream, contentType: info.mimetype };
}

export const bulkDataRoutes: readonly Route[] = [
  route({
    method: "get",
    path: COMPONENT,
    summary: "Categories that hold files",
    tag,
    early: true,
    responses: { 200: ok(items(Type.String())) },
    handle: (request, context) => {
      return { status: 200, json: { items: bulkOf(request, context).categories(request.params.component) } };
    },
  }),
  route({
    method: "get",
    path: CATEGORY,
    summary: "Files of a category",
    tag,
    early: true,
    params: CategoryParams,
    query: ListQuery,
    responses: { 200: ok(items(Item)) },
    handle: (request, context) => {
      const { component, category } = request.params;
      const { "created-after": afterDate, "created-before": beforeDate } = request.query;
      const after = timeOf("created-after", afterDate, Number.NEGATIVE_INFINITY);
      const before = timeOf("created-before", beforeDate, Number.POSITIVE_INFINITY);
      const files = bulkOf(request, context).list(component, category);
      const wanted = files.filter(({ createdAt }) => createdAt > after && createdAt < before);
      return { status: 200, json: { items: wanted.map(show) } };
    },
  }),
  route({
    method: "post",
    path: CATEGORY,
    summary: "Upload a file, multipart or raw",
    tag,
    early: true,
    links: true,
    params: CategoryParams,
    body: { kind: "upload", types: ANY_TYPES, bulk: true },
    responses: { 201: ok(Item, "Stored.") },
    handle: async (request, context) => {
      const { component, category } = request.params;
      const { contentType, contentDisposition, chunks } = request.body;
      const name = fileName(contentDisposition) ?? "file";
      const bulk = await bulkToChange(request, context, "upload");
      const info = await bulk.create(request.owner, { component, category, name, contentType }, chunks);
      const location = `${request.origin}${request.base}/components/${component}/bulk-data/${category}/${info.id}`;
      return { status: 201, headers: { Location: location }, json: show(info) };
    },
  }),
  route({
    method: "delete",
    path: CATEGORY,
    summary: "Delete all files of a category",
    tag,
    early: true,
    params: CategoryParams,
    responses: { 200: ok(Deleted) },
    handle: async (request, context) => {
      const { component, category } = request.params;
      const bulk = await bulkToChange(request, context, "remove");
      const deleted: string[] = [];
      const errors: Static<typeof DataErrors> = [];
      for (const info of bulk.list(component, category)) {
        try {
          await removeFree(context, info);
          deleted.push(info.id);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          errors.push({ path: `/${info.id}`, error: errorObjectAt(request.base, toFaultData(error)) });
        }
      }
      return { status: 200, json: { deleted_ids: deleted, errors } };
    },
  }),
  route({
    method: "put",
    path: FILE,
    summary: "Upload a file, whole or from where it was cut (Content-Range)",
    tag,
    early: true,
    params: FileParams,
    headers: ["content-range"],
    body: { kind: "upload", types: [BYTES_TYPE], bulk: true },
    responses: { 200: ok(Item, "The part is stored."), 201: ok(Item, "The file is complete.") },
    handle: async (request, context) => {
      const { contentDisposition, contentType: mimetype, chunks } = request.body;
      const bulk = await bulkToChange(request, context, "upload");
      const range = contentRange(request.header("content-range"));
      const start = {
        ...request.params,
        name: fileName(contentDisposition) ?? request.params.id,
        mimetype,
      };
      const last = range === undefined || range.to === range.total;
      const body = range === undefined ? chunks : exactly(chunks, range.to - range.from);
      const from = range?.from ?? 0;
      updatesOf(context).requireFree(start);
      if (from === 0) await updatesOf(context).clearFor(start);
      const info = await bulk.take(request.owner, start, from, body, last);
      return { status: last ? 201 : 200, json: show(info) };
    },
  }),
  route({
    method: "get",
    path: `${FILE}/x-upload`,
    summary: "Where an upload goes on",
    tag,
    early: true,
    params: FileParams,
    responses: { 200: ok(UploadState) },
    handle: (request, context) => {
      const info = bulkOf(request, context).upload(request.params);
      const { size: offset = 0, complete = false, sha256 = "" } = info ?? {};
      return { status: 200, json: { offset, complete, ...(complete ? { sha256 } : {}) } };
    },
  }),
  route({
    method: "get",
    path: FILE,
    summary: "Content of a file, or a range of it",
    tag,
    early: true,
    params: FileParams,
    headers: ["range", "if-range", "if-none-match"],
    responses: {
      200: { description: "The file.", contentType: BYTES_TYPE },
      206: { description: "The range.", contentType: BYTES_TYPE },
    },
    handle: (request, context) => {
      const bulk = bulkOf(request, context);
      const info = bulk.get(request.params);
      if (!info.complete) throw new Fault("notFound", `The upload of ${info.id} is not complete`);
      return download(bulk, info, request.header("range"), request.header("if-range"), request.header("if-none-match"));
    },
  }),
  route({
    method: "delete",
    path: FILE,
    summary: "Delete a file",
    tag,
    early: true,
    params: FileParams,
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      await bulkToChange(request, context, "remove");
      await removeFree(context, request.params);
      return { status: 204 };
    },
  }),
];
