/** Runs, claims and other long work of the server, from the page. */
import type {
  ClaimDetail,
  ClaimInfo,
  MetricsPart,
  OperationEvent,
  OperationState,
  RunDetail,
  RunInfo,
  RunList,
  TrainInput,
  TrainingInfo,
} from "../src/server/runProtocol.ts";
import { ask } from "./api.ts";
import { readEvents } from "./eventStream.ts";

export type MetricsRow = MetricsPart["rows"][number];

const json = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await (await ask(path, signal ? { signal } : {})).json()) as T; // our own server's

const post = (path: string, body?: unknown): Promise<Response> =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

const of = (id: string): string => `v1/runs/${encodeURIComponent(id)}`;

export interface RunQuery {
  readonly offset: number;
  readonly limit: number;
  readonly search: string;
  readonly state: RunInfo["state"] | "";
}

export function listRuns({ offset, limit, search, state }: RunQuery): Promise<RunList> {
  const query = new URLSearchParams({ offset: `${offset}`, limit: `${limit}`, search });
  if (state !== "") query.set("state", state);
  return json(`v1/runs?${query}`);
}

export const readRun = (id: string): Promise<RunDetail> => json(of(id));

/** Rows of a stage after a step, all of them. */
export async function readMetrics(id: string, stage: string, after = -1): Promise<MetricsRow[]> {
  const rows: MetricsRow[] = [];
  for (let last = after; ; last = rows.at(-1)?.step ?? last) {
    const query = new URLSearchParams({ stage, after: `${last}` });
    const part = await json<MetricsPart>(`${of(id)}/metrics?${query}`);
    rows.push(...part.rows);
    if (!part.more) return rows;
  }
}

/** The rows with those since; the last step is read again, because a look at held-out data may have followed it. */
export async function readMore(
  id: string,
  stage: string,
  rows: readonly MetricsRow[],
): Promise<readonly MetricsRow[]> {
  const last = rows.at(-1)?.step ?? 0;
  const more = await readMetrics(id, stage, last - 1);
  return [...rows.filter(({ step }) => step < last), ...more];
}

/** A picture, as an address of this page; revoke it when it is not shown any more. */
export async function sampleUrl(id: string, stage: string, step: number): Promise<string> {
  const response = await ask(`${of(id)}/samples/${encodeURIComponent(stage)}/${step}`);
  return URL.createObjectURL(await response.blob());
}

export async function beginRun(request: TrainInput): Promise<string> {
  return ((await (await post("v1/runs", request)).json()) as { id: string }).id; // our own server's
}

export async function changeRun(id: string, action: "stop" | "resume"): Promise<void> {
  await post(`${of(id)}/${action}`);
}

export async function listTraining(): Promise<TrainingInfo[]> {
  return (await json<{ data: TrainingInfo[] }>("v1/training")).data;
}

export async function listClaims(): Promise<ClaimInfo[]> {
  return (await json<{ data: ClaimInfo[] }>("v1/claims")).data;
}

export const readClaim = (system: string): Promise<ClaimDetail> => json(`v1/claims/${system}`);

export async function beginClaim(system: string, arms?: readonly string[]): Promise<void> {
  await post(`v1/claims/${system}`, arms ? { arms } : {});
}

export async function changeOperation(id: string, action: "stop" | "resume"): Promise<void> {
  await post(`v1/operations/${id}/${action}`);
}

/** Whether work goes on, or will. */
export const isActiveState = (state: OperationState): boolean => state === "running" || state === "queued";

export async function forgetOperation(id: string): Promise<void> {
  await ask(`v1/operations/${id}`, { method: "DELETE" });
}

/** What happens to a run or an operation, until it is over. Aborting only ends listening. */
export async function* watch(
  what: { readonly run: string } | { readonly operation: string },
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  const path = "run" in what ? of(what.run) : `v1/operations/${what.operation}`;
  const response = await ask(`${path}/events`, { signal });
  if (response.status !== 204) yield* readEvents<OperationEvent>(response);
}
