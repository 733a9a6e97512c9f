import { Fault } from "#core/errors.ts";
import type { JobParam, ProgCode, SingleEcuJob } from "#mdd/generated/dataformat.ts";
import { type Database, each, memoised, reading } from "./database.ts";
import { member } from "./json.ts";
import { layersOf, type Scope } from "./layers.ts";

/** A job as the list shows it. */
export interface JobItem {
  readonly category: string;
  readonly id: string;
  readonly name: string;
}

interface JobParamJson {
  readonly short_name: string;
  readonly physical_default_value?: string;
  readonly semantic?: string;
  readonly long_name?: { readonly value?: string; readonly ti?: string };
}

interface ProgCodeJson {
  readonly code_file: string;
  readonly encryption?: string;
  readonly syntax?: string;
  readonly revision: string;
  readonly entrypoint: string;
}

/** A job's description, in the API's own words. */
export interface JobDescription {
  readonly "x-input-params": readonly JobParamJson[];
  readonly "x-output-params": readonly JobParamJson[];
  readonly "x-neg-output-params": readonly JobParamJson[];
  readonly "x-prog-code": readonly ProgCodeJson[];
}

/** Jobs of a scope that have a semantic, nearest layer first; inherited ones that a nearer one replaces are left out. */
export function listJobs(database: Database, scope: Scope): readonly JobItem[] {
  return visibleJobs(database, scope).flatMap(({ job, shortName }) => {
    const semantic = job.diagComm()?.semantic() ?? null;
    const name = job.diagComm()?.longName()?.value() ?? shortName;
    return semantic === null ? [] : [{ category: semantic.toLowerCase(), id: shortName.toLowerCase(), name }];
  });
}

/** One job, in any case. @throws Fault notFound */
export function describeJob(database: Database, scope: Scope, name: string): JobDescription {
  const wanted = name.toLowerCase();
  const found = visibleJobs(database, scope).find(({ shortName }) => shortName.toLowerCase() === wanted);
  if (found === undefined) throw new Fault("notFound", `Single ECU job '${name}' not found`);
  const { job } = found;
  return reading(found.shortName, () => ({
    "x-input-params": each(job.inputParamsLength(), (i) => job.inputParams(i)).map(readParam),
    "x-output-params": each(job.outputParamsLength(), (i) => job.outputParams(i)).map(readParam),
    "x-neg-output-params": each(job.negOutputParamsLength(), (i) => job.negOutputParams(i)).map(readParam),
    "x-prog-code": each(job.progCodesLength(), (i) => job.progCodes(i)).map(readProgCode),
  }));
}

interface VisibleJob {
  readonly shortName: string;
  readonly job: SingleEcuJob;
}

function visibleJobs(database: Database, scope: Scope): readonly VisibleJob[] {
  return memoised(database, `jobs:${scope.kind}:${scope.index}`, () =>
    reading(`${scope.name}.single_ecu_jobs`, () => {
      const jobs = new Map<string, VisibleJob>();
      for (const { diagLayer, hidden } of layersOf(database, scope)) {
        for (const job of each(diagLayer.singleEcuJobsLength(), (i) => diagLayer.singleEcuJobs(i))) {
          const shortName = job.diagComm()?.shortName() ?? "";
          if (shortName !== "" && !hidden.has(shortName) && !jobs.has(shortName))
            jobs.set(shortName, { shortName, job });
        }
      }
      return [...jobs.values()];
    }),
  );
}

function readParam(param: JobParam): JobParamJson {
  const value = param.longName()?.value() ?? null;
  const ti = param.longName()?.ti() ?? null;
  return {
    short_name: param.shortName() ?? "",
    ...member("physical_default_value", param.physicalDefaultValue()),
    ...member("semantic", param.semantic()),
    ...(value === null && ti === null ? {} : { long_name: { ...member("value", value), ...member("ti", ti) } }),
  };
}

function readProgCode(code: ProgCode): ProgCodeJson {
  return {
    code_file: code.codeFile() ?? "",
    ...member("encryption", code.encryption()),
    ...member("syntax", code.syntax()),
    revision: code.revision() ?? "",
    entrypoint: code.entrypoint() ?? "",
  };
}
