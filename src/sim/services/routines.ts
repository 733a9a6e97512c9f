/** Routine control (ISO 14229-1 clause 14.2). */
import { accept, type Definition, type Handler } from "../matching.ts";
import { flashCondition } from "./transfer.ts";

const CALIBRATION_RUNS = 0x00;
const CALIBRATION_STOPPED = 0x01;
const PROGRESS_STEP_PERCENT = 25;
const LAST_STEP = 3;
const DONE_TEXT = Buffer.from("Great Scott! We made it!", "latin1");

const positive: Handler = (_, request) => accept(request);

function calibrate(running: boolean): Handler {
  return (state, request) => {
    state.calibrating = running;
    return accept(request);
  };
}

const calibrationResults: Handler = (state, request) =>
  accept(request, [state.calibrating ? CALIBRATION_RUNS : CALIBRATION_STOPPED]);

function setTimeCircuits(progressPercent: number | undefined): Handler {
  return (state, request) => {
    state.timeCircuits = progressPercent;
    return accept(request);
  };
}

/** Asking for the result is what makes progress. */
const timeCircuitsResults: Handler = (state, request) => {
  if (state.timeCircuits === undefined) return accept(request, [0, 0]);
  state.timeCircuits = Math.min(state.timeCircuits + PROGRESS_STEP_PERCENT, 100);
  const step = Math.min(state.timeCircuits / PROGRESS_STEP_PERCENT, LAST_STEP);
  return accept(request, [state.timeCircuits, step, ...(step === LAST_STEP ? DONE_TEXT : [])]);
};

const clearUserMemory: Handler = (state, request) => {
  state.dtcs.Development.clear();
  return accept(request);
};

const eraseMemory: Handler = (state, request) => {
  const refusal = flashCondition(state, request);
  if (refusal !== undefined) return refusal;
  state.transfers = [];
  return accept(request);
};

export const ROUTINE_SERVICES: readonly Definition[] = [
  ["31011001", positive],
  ["31011002", calibrate(true)],
  ["31021002", calibrate(false)],
  ["31031002", calibrationResults],
  ["31011003[]", setTimeCircuits(0)],
  ["31021003", setTimeCircuits(undefined)],
  ["31031003", timeCircuitsResults],
  // This routine answers although bit 7 asks for silence.
  ["31810301[]", positive],
  ["31820301", positive],
  ["31014200", clearUserMemory],
  ["3101FF00", eraseMemory],
  ["3101FF01", positive],
];
