/** `sovd-edge update push|status|list|rollback` and `sovd-edge audit verify`: a client of any SOVD server with `/updates`. */
import { createHash, createPrivateKey, sign } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { Command } from "commander";
import { request } from "undici";
import { Fault } from "#core/errors.ts";
import { type AuditRecord, type ChainVerdict, NO_ANCHOR, verifyChain } from "#update/software/audit.ts";
import { canonical } from "#update/software/canonical.ts";
import { progressLines, type StatusView } from "./update-progress.ts";

const POLL_MS = 500;
const AUDIT_PAGE = 1_000;

interface Connection {
  readonly to: string;
  readonly token?: string;
}

interface PushOptions extends Connection {
  readonly components: string;
  readonly policy: "coordinated" | "independent";
  readonly id?: string;
  readonly version?: string;
  readonly key?: string;
  readonly prepareOnly?: boolean;
  readonly watch?: boolean;
}

type Json = Readonly<Record<string, unknown>>;

export function register(program: Command): void {
  const update = program.command("update").description("Update the software of components through a SOVD server");
  const connected = (command: Command) =>
    command
      .requiredOption("--to <url>", "base path of the server, e.g. http://127.0.0.1:20002/api/v1")
      .option("--token <token>", "bearer token; default: SOVD_TOKEN, or one of the server in mode development");
  connected(update.command("push").argument("<file>", "image").description("Upload, register, prepare and execute"))
    .requiredOption("--components <ids>", "components, with commas between")
    .option("--policy <policy>", "coordinated or independent", "coordinated")
    .option("--id <id>", "id of the update; default: made from the file's name")
    .option("--version <version>", "version the components will have")
    .option("--key <file>", "PEM file of an Ed25519 key that signs the manifest")
    .option("--prepare-only", "do not execute")
    .option("--watch", "follow the status to its end")
    .action((file: string, options: PushOptions) => push(file, options));
  connected(update.command("status").argument("<id>").description("How far an update is"))
    .option("--watch", "follow it to its end")
    .action(async (id: string, options: Connection & { watch?: boolean }) => {
      const client = await connect(options);
      if (options.watch === true) await watch(client, id);
      else
        write(progressLines((await client.json("GET", `/updates/${id}/status`)) as unknown as StatusView).join("\n"));
    });
  connected(update.command("list").description("Ids of the updates")).action(async (options: Connection) => {
    const { items } = await (await connect(options)).json("GET", "/updates");
    write((items as string[]).join("\n"));
  });
  connected(update.command("rollback").argument("<id>").description("Stop an update, or take it back"))
    .option("--watch", "follow it to its end")
    .action(async (id: string, options: Connection & { watch?: boolean }) => {
      const client = await connect(options);
      await client.json("PUT", `/updates/${id}/x-rollback`);
      if (options.watch === true) await watch(client, id);
    });
}

export function registerAudit(program: Command): void {
  program
    .command("audit")
    .description("The audit chain of updates")
    .command("verify")
    .description("Fetch the chain and verify every link")
    .requiredOption("--to <url>", "base path of the server")
    .option("--token <token>", "bearer token")
    .option("--expect <seq:hash>", "a head that was noted elsewhere: shows a chain whose tail was cut")
    .action(async ({ expect, ...options }: Connection & { expect?: string }) => {
      const verdict = await verifyAudit(await connect(options), expect);
      if (!verdict.whole)
        throw new Fault("corruption", `The audit chain is broken at record ${verdict.seq}: ${verdict.problem}`);
      write(`whole: ${verdict.records} records, head ${verdict.head.seq}:${verdict.head.hash}`);
    });
}

interface Client {
  json(method: string, path: string, body?: Json): Promise<Json>;
  upload(path: string, file: string): Promise<Json>;
}

async function connect({ to, token = process.env.SOVD_TOKEN }: Connection): Promise<Client> {
  const base = to.replace(/\/+$/, "");
  const bearer = token ?? (await developmentToken(base));
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const send = async (method: string, path: string, more: object, type?: string): Promise<Json> => {
    const answer = await request(base + path, {
      method: method as "GET",
      headers: { ...headers, ...(type === undefined ? {} : { "content-type": type }) },
      bodyTimeout: 0,
      headersTimeout: 0,
      ...more,
    });
    const text = await answer.body.text();
    const json = text === "" ? {} : (JSON.parse(text) as Json);
    if (answer.statusCode < 300) return json;
    throw new Fault(
      "badRequest",
      `${method} ${path}: ${answer.statusCode} ${String(json.error_code)}: ${String(json.message)}`,
    );
  };
  return {
    json: (method, path, body) =>
      body === undefined
        ? send(method, path, {})
        : send(method, path, { body: JSON.stringify(body) }, "application/json"),
    upload: (path, file) => {
      const { size } = statSync(file);
      const more = {
        body: createReadStream(file),
        headers: {
          ...headers,
          "content-type": "application/octet-stream",
          "content-length": String(size),
          "content-disposition": `attachment; filename="${basename(file)}"`,
        },
      };
      return send("POST", path, more);
    },
  };
}

/** Undefined where the server gives none to anybody. */
async function developmentToken(base: string): Promise<string | undefined> {
  const body = JSON.stringify({ client_id: "sovd-edge-cli", client_secret: "cli" });
  const answer = await request(`${base}/authorize`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await answer.body.text();
  return answer.statusCode === 200 ? (JSON.parse(text) as { access_token?: string }).access_token : undefined;
}

async function push(file: string, options: PushOptions): Promise<void> {
  const components = options.components
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const [first] = components;
  if (first === undefined) throw new Fault("badRequest", "--components names none");
  const client = await connect(options);
  const stored = await client.upload(`/components/${first}/bulk-data/firmware-artifacts`, file);
  write(`uploaded ${basename(file)}: ${String(stored.size)} bytes, SHA-256 ${String(stored.hash)}`);
  const hash = await hashOf(file);
  if (hash !== stored.hash)
    throw new Fault("corruption", `The server stored something else: SHA-256 ${String(stored.hash)}`);
  const id = options.id ?? basename(file).replace(/[^A-Za-z0-9._-]/g, "-");
  await client.json("POST", "/updates", packageOf(id, file, hash, components, String(stored.id), options));
  await client.json("PUT", `/updates/${id}/${options.prepareOnly === true ? "prepare" : "execute"}`);
  write(`update ${id} is under way on ${components.join(", ")}`);
  if (options.watch === true) await watch(client, id);
}

function packageOf(
  id: string,
  file: string,
  sha256: string,
  components: readonly string[],
  stored: string,
  options: PushOptions,
): Json {
  const { policy, version, key } = options;
  const uri = `/components/${components[0]}/bulk-data/firmware-artifacts/${stored}`;
  const target = { uri, sha256, length: statSync(file).size, ...(version === undefined ? {} : { version }) };
  const manifest = { id, targets: Object.fromEntries(components.map((component) => [component, target])) };
  const signature =
    key === undefined
      ? {}
      : {
          "x-signature": sign(null, Buffer.from(canonical(manifest)), createPrivateKey(readFileSync(key))).toString(
            "base64",
          ),
        };
  return {
    id,
    update_name: basename(file),
    origins: ["proximity"],
    automated: false,
    rollback_policy: policy,
    affected_components: components,
    artifact_uri: uri,
    ...(version === undefined ? {} : { target_version: version }),
    "x-manifest": manifest,
    ...signature,
  };
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of Readable.from(createReadStream(file))) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** On a terminal bars that stay in place, in a pipe a line for each change. A failed update is a failed command. */
async function watch(client: Client, id: string): Promise<void> {
  let shown: string[] = [];
  for (;;) {
    const status = (await client.json("GET", `/updates/${id}/status`)) as unknown as StatusView;
    const lines = progressLines(status);
    if (process.stdout.isTTY === true) {
      process.stdout.write(
        `${shown.length === 0 ? "" : `\u001b[${shown.length}A`}${lines.map((line) => `\u001b[2K${line}\n`).join("")}`,
      );
    } else for (const line of lines.filter((each) => !shown.includes(each))) write(line);
    shown = lines;
    if (status.status === "failed") throw new Fault("conflict", `Update ${id} failed: ${messageOf(status)}`);
    if (status.status === "completed") return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function messageOf({ error }: StatusView): string {
  return typeof error === "string" ? error : (error?.message ?? "no reason was given");
}

/** The whole chain, page by page. */
async function verifyAudit(client: Client, expect: string | undefined): Promise<ChainVerdict> {
  const records: AuditRecord[] = [];
  for (;;) {
    const { items } = await client.json("GET", `/x-audit?after=${records.at(-1)?.seq ?? 0}`);
    const page = items as readonly AuditRecord[];
    records.push(...page);
    if (page.length < AUDIT_PAGE) break;
  }
  const [first] = records;
  const anchor = first === undefined || first.seq === 1 ? NO_ANCHOR : { seq: first.seq - 1, hash: first.prev };
  const [seq, hash = ""] = (expect ?? "").split(":");
  return verifyChain(records, anchor, expect === undefined ? undefined : { seq: Number(seq), hash });
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}
