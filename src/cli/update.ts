/** `sovd-edge update push|status|list|rollback|delete|rxswin`: a client of any SOVD server with `/updates`; `pack` makes what others upload. */
import { type Command, Option } from "commander";
import { type Client, type Connection, connect, connected, type Json } from "./update-client.ts";
import { type PackOptions, pack } from "./update-pack.ts";
import { follow, isLive, problemOf, progressLines, statusOf } from "./update-progress.ts";
import { type PushOptions, push } from "./update-push.ts";

const RXSWIN_COLUMNS = ["componentId", "rxswin", "softwareVersion", "updatedAt", "authority", "approvalRef"];

interface WatchOptions extends Connection {
  readonly watch?: boolean;
}

export function register(program: Command): void {
  const output = process.stdout;
  const update = program.command("update").description("Update the software of components through a SOVD server");
  const command = (name: string, description: string) => connected(update.command(name).description(description));
  command("push", "Upload, register, prepare and execute")
    .argument("<file>", "image")
    .requiredOption("--components <ids>", "components, with commas between")
    .addOption(
      new Option("--policy <policy>", "who goes back when one fails")
        .choices(["coordinated", "independent"])
        .default("coordinated"),
    )
    .option("--id <id>", "id of the update; default: made from the file's name")
    .option("--version <version>", "version the components will have")
    .option("--key <file>", "PEM file of an Ed25519 key that signs the manifest")
    .option("--prepare-only", "do not execute")
    .option("--watch", "follow the status to its end")
    .action((file: string, options: PushOptions) => push(file, options, output));
  update
    .command("pack")
    .description("Make one file of an image and its signed manifests, for clients that upload only that (Skybrush)")
    .argument("<file>", "image")
    .requiredOption("--components <ids>", "components it is for, with commas between")
    .requiredOption("--key <file>", "PEM file of the Ed25519 key that signs")
    .option("--id <id>", "id of the update; default: made from the file's name and the version")
    .option("--version <version>", "version the components will have")
    .option("--expires <time>", "time after which it is refused")
    .option("--output <file>", "default: the image's name with .signed")
    .action((file: string, options: PackOptions) => pack(file, options, output));
  command("status", "How far an update is")
    .argument("<id>")
    .option("--watch", "follow it to its end")
    .action(async (id: string, options: WatchOptions) => {
      const client = await connect(options);
      if (options.watch === true) await follow(client, id, output, "over");
      else {
        const status = await statusOf(client, id);
        const problem = problemOf(status);
        const lines = [...progressLines(status), ...(problem === undefined ? [] : [`error: ${problem}`])];
        output.write(`${lines.join("\n")}\n`);
      }
    });
  command("list", "Ids of the updates; on a terminal with their states").action(async (options: Connection) => {
    const client = await connect(options);
    const { items } = await client.json("GET", "/updates");
    for (const id of items as readonly string[]) output.write(`${isLive(output) ? await stateLine(client, id) : id}\n`);
  });
  command("rxswin", "RXSWIN of the vehicle and of each component (UN R156)").action(async (options: Connection) => {
    const { vin, entries } = await (await connect(options)).json("GET", "/rxswin/report");
    output.write(`VIN ${vin}\n`);
    for (const entry of entries as readonly Json[]) {
      output.write(`${RXSWIN_COLUMNS.map((name) => entry[name] || "-").join("\t")}\n`);
    }
  });
  command("rollback", "Stop an update, or take it back")
    .argument("<id>")
    .option("--watch", "follow it to its end")
    .action(async (id: string, options: WatchOptions) => {
      const client = await connect(options);
      await client.json("PUT", `/updates/${encodeURIComponent(id)}/x-rollback`);
      output.write(`update ${id} is being taken back\n`);
      if (options.watch === true) await follow(client, id, output, "old");
    });
  command("delete", "Forget an update that is not under way")
    .argument("<id>")
    .action(async (id: string, options: Connection) => {
      const client = await connect(options);
      await client.json("DELETE", `/updates/${encodeURIComponent(id)}`);
      output.write(`update ${id} is deleted\n`);
    });
}

async function stateLine(client: Client, id: string): Promise<string> {
  const { phase, status, "x-state": state = status } = await statusOf(client, id);
  return `${id}\t${phase} ${state}`;
}
