/** Package managers and anything else that is driven by programs: one configured argument list per call. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#core/errors.ts";
import type { TargetFacts, UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { type CommandRunner, fill } from "./command-runner.ts";
import { exportImage, requireImage, roomFor } from "./files.ts";

export interface CommandTarget {
  /** Where images are put for the programs (`{file}`). */
  readonly folder: string;
  /** Empty: nothing to run for this call. */
  readonly commands: Readonly<
    Record<"prepare" | "execute" | "verify" | "commit" | "rollback" | "version", readonly string[]>
  >;
  readonly timeoutMs: number;
  readonly hardwareId: string | undefined;
  readonly serial: string | undefined;
}

type Call = keyof CommandTarget["commands"];

export class CommandProvider implements UpdateProvider {
  readonly kind = "command";
  readonly #targets: Readonly<Record<string, CommandTarget>>;
  readonly #run: CommandRunner;

  constructor(targets: Readonly<Record<string, CommandTarget>>, run: CommandRunner) {
    this.#targets = targets;
    this.#run = run;
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const { commands, timeoutMs, hardwareId, serial, folder } = this.#target(component);
    const free = roomFor(folder);
    const version =
      commands.version.length === 0
        ? ""
        : (await this.#run(fill(commands.version, { component }), { timeoutMs, signal })).trim();
    return {
      supportsRollback: commands.rollback.length > 0,
      supportsTrial: commands.commit.length > 0,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === "" ? {} : { version }),
      ...(free === undefined ? {} : { freeBytes: free }),
    };
  }

  async prepare(job: UpdateJob): Promise<void> {
    // what a later call could not be given is refused before anything is written
    for (const argv of Object.values(this.#target(job.component).commands)) fill(argv, job, this.#file(job));
    if (job.artifact !== undefined) await exportImage(job, this.#file(job));
    await this.#call("prepare", job);
  }

  async execute(job: UpdateJob): Promise<void> {
    if (job.artifact !== undefined) await requireImage(job, this.#file(job));
    await job.memory.set("touched", "yes");
    await this.#call("execute", job);
  }

  async verify(job: UpdateJob): Promise<void> {
    await this.#call("verify", job);
    const { version } = await this.describe(job.component, job.signal);
    if (version === undefined || job.toVersion === undefined || version === job.toVersion) return;
    throw new Fault("conflict", `${job.component} reports version ${version} instead of ${job.toVersion}`);
  }

  async commit(job: UpdateJob): Promise<void> {
    await this.#call("commit", job);
  }

  async rollback(job: UpdateJob): Promise<void> {
    if (job.memory.get("touched") === undefined) return;
    if (this.#target(job.component).commands.rollback.length === 0) {
      throw new Fault("conflict", `No rollback is configured for ${job.component}`);
    }
    await this.#call("rollback", job);
  }

  async close(job: UpdateJob): Promise<void> {
    await rm(this.#file(job), { force: true });
  }

  async #call(call: Call, job: UpdateJob): Promise<void> {
    const { commands, timeoutMs } = this.#target(job.component);
    const argv = commands[call];
    if (argv.length > 0) await this.#run(fill(argv, job, this.#file(job)), { timeoutMs, job });
  }

  /** One for all campaigns: what failed, or was never executed, gives way to the next. */
  #file({ component }: UpdateJob): string {
    return join(this.#target(component).folder, `${component}.image`);
  }

  #target(component: string): CommandTarget {
    const target = this.#targets[component];
    if (target === undefined) throw new Fault("misconfigured", `No commands are configured for ${component}`);
    return target;
  }
}
