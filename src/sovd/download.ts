/** Download to an ECU: request, transfer in the background, exit. */
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import type { TransferMessage } from "#fleet/messages.ts";
import { indexRoute } from "./links.ts";
import { callPermitted } from "./permit.ts";
import { type Route, route } from "./route.ts";
import { DataErrors, IdItem, items, NO_CONTENT, ok, SchemaQuery, Values } from "./schemas.ts";

/** SID and block sequence counter of a TransferData message, and one byte of data. */
const MIN_BLOCK_BYTES = 3;

const Transfer = Type.Object({
  acknowledgedBytes: Type.Integer(),
  blocksize: Type.Integer(),
  nextBlockSequenceCounter: Type.Integer(),
  id: Type.String(),
  fileId: Type.String(),
  status: Type.Union(["queued", "running", "finished", "aborted"].map((word) => Type.Literal(word))),
  error: Type.Optional(Type.Array(Type.Object({ text: Type.String() }))),
});
const TransferBody = Type.Object({
  blocksequencecounter: Type.Integer({ minimum: 0, maximum: 0xff }),
  blocksize: Type.Integer({ minimum: 0 }),
  offset: Type.Integer({ minimum: 0 }),
  length: Type.Integer({ minimum: 0 }),
  id: Type.String(),
});
const DownloadBody = Type.Object({ requestdownload: Values });
const DownloadAnswer = Type.Object({ requestdownload: Values, errors: Type.Optional(DataErrors) });

function transferObjection({ length, blocksize }: Static<typeof TransferBody>): string | undefined {
  if (length === 0) return "The length must not be 0";
  return blocksize < MIN_BLOCK_BYTES ? `A block has at least ${MIN_BLOCK_BYTES} bytes` : undefined;
}

function show(transfer: TransferMessage): Record<string, unknown> {
  return {
    acknowledgedBytes: transfer.acknowledgedBytes,
    blocksize: transfer.blockSize,
    nextBlockSequenceCounter: transfer.nextBlockSequenceCounter,
    id: transfer.id,
    fileId: transfer.fileId,
    status: transfer.status,
    ...(transfer.error === undefined ? {} : { error: [{ text: transfer.error }] }),
  };
}

const DOWNLOAD = "/components/{ecu}/x-sovd2uds-download" as const;
const TRANSFER = `${DOWNLOAD}/flashtransfer` as const;
const tag = "download";

export const downloadRoutes: readonly Route[] = [
  indexRoute(DOWNLOAD, "Download to a component", tag, [{ name: "RequestDownload", segment: "requestdownload" }]),
  route({
    method: "put",
    path: `${DOWNLOAD}/requestdownload`,
    summary: "Announce a download to the ECU",
    tag,
    lock: "download",
    query: SchemaQuery,
    body: { kind: "json", family: "plain", schema: DownloadBody },
    responses: { 200: ok(DownloadAnswer), 204: NO_CONTENT },
    handle: (request, context) => {
      const args = { parameters: request.body.requestdownload, schema: request.query["include-schema"] === true };
      return callPermitted(request, context, "requestDownload", args);
    },
  }),
  route({
    method: "get",
    path: TRANSFER,
    summary: "The transfer of this component",
    tag,
    open: true,
    query: SchemaQuery,
    responses: { 200: ok(items(Transfer)) },
    handle: (request, { transfers }) => {
      const transfer = transfers.of(request.ecu.id);
      if (transfer === undefined) throw new Fault("notFound", "No flash transfer");
      return { status: 200, json: { items: [show(transfer)] } };
    },
  }),
  route({
    method: "post",
    path: TRANSFER,
    summary: "Transfer a flash file, or part of one",
    tag,
    lock: "download",
    query: SchemaQuery,
    body: { kind: "json", family: "plain", schema: TransferBody, check: transferObjection },
    responses: { 200: ok(IdItem) },
    handle: async (request, context) => {
      const { ecu, body, owner } = request;
      const file = await context.flashFiles.find(body.id);
      if (file === undefined) throw new Fault("notFound", `Flash file not found: ${body.id}`);
      if (body.offset + body.length > file.sizeBytes) {
        throw new Fault("badRequest", `The file has ${file.sizeBytes} bytes, less than offset and length ask for`);
      }
      const start = context.transfers.create(ecu.id, ecu.name, owner, {
        path: file.path,
        fileId: file.id,
        blockSequenceCounter: body.blocksequencecounter,
        blockSize: body.blocksize,
        offset: body.offset,
        length: body.length,
      });
      try {
        await callPermitted(request, context, "transferStart", start);
      } catch (error) {
        context.transfers.drop(ecu.id);
        throw error;
      }
      return { status: 200, json: { id: start.id } };
    },
  }),
  route({
    method: "get",
    path: `${TRANSFER}/{id}`,
    summary: "How far the transfer is",
    tag,
    open: true,
    query: SchemaQuery,
    responses: { 200: ok(Transfer) },
    handle: (request, { transfers }) => ({ status: 200, json: show(transfers.get(request.ecu.id, request.params.id)) }),
  }),
  route({
    method: "delete",
    path: `${TRANSFER}/{id}`,
    summary: "Forget an ended transfer",
    tag,
    responses: { 204: NO_CONTENT },
    handle: (request, { transfers }) => {
      transfers.remove(request.ecu.id, request.params.id, request.owner);
      return { status: 204 };
    },
  }),
  route({
    method: "put",
    path: `${DOWNLOAD}/transferexit`,
    summary: "Tell the ECU that the download is complete",
    tag,
    lock: "download",
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      await callPermitted(request, context, "transferExit", {});
      return { status: 204 };
    },
  }),
];
