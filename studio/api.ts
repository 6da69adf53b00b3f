/** The server, from the page: models, events of a request, recipes in pictures. Nothing else is ever asked. */
import type {
  DynamicsEvent,
  ErrorBody,
  GenerateInput,
  MeasuredDynamics,
  ModelInfo,
  ServerEvent,
  SystemInfo,
} from "../src/server/protocol.ts";
import { ApiError, offline } from "./apiError.ts";
import { decoded } from "./decoded.ts";
import { readEvents } from "./eventStream.ts";
import { withoutPixels } from "./pictures.ts";
import { isStatic, siteDynamics } from "./site.ts";
import { tabKeeper } from "./storage.ts";

const tokenKey = "nextx-token";

/** Keeps a token for this tab; an address ending in #token=... brings one along. */
export function keepToken(token: string): void {
  tabKeeper.set(tokenKey, token);
}

const fromAddress = /^#token=(.+)$/.exec(location.hash)?.[1];
if (fromAddress !== undefined) {
  keepToken(decoded(fromAddress));
  history.replaceState(null, "", location.pathname);
}

/** What a request to the server carries besides its own. */
export function tokenHeaders(): Record<string, string> {
  const token = tabKeeper.get(tokenKey);
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** An answer of the server. @throws ApiError for every other */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string> | undefined), ...tokenHeaders() }; // all ours are records
  const response = await fetch(path, { ...init, headers }).catch((cause: unknown) => {
    if (init.signal?.aborted) throw cause;
    throw offline();
  });
  if (response.ok) return response;
  if (response.status === 408) throw offline("The request took too long to arrive.");
  const body = (await response.json().catch(() => undefined)) as ErrorBody | undefined;
  throw new ApiError(
    body?.error ?? {
      message: `The server answered ${response.status}.`,
      code: "HTTP",
      type: "",
      param: null,
    },
  );
}

export async function listModels(): Promise<ModelInfo[]> {
  const { data } = (await (await ask("/v1/models")).json()) as { data: ModelInfo[] };
  return data;
}

export async function listSystems(): Promise<SystemInfo[]> {
  const { data } = (await (await ask("/v1/systems")).json()) as { data: SystemInfo[] };
  return data;
}

/** The shipped measurement of training dynamics. */
export async function recordedDynamics(): Promise<MeasuredDynamics | null> {
  if (isStatic) return siteDynamics();
  return (await (await ask("/v1/dynamics")).json()) as MeasuredDynamics | null;
}

/** The recipe inside a PNG, and the id of its model when the server has it. */
export async function readRecipe(file: Blob): Promise<{ recipe: PictureRecipe; model: string | null }> {
  const response = await ask("/v1/recipes", {
    method: "POST",
    headers: { "Content-Type": "image/png" },
    body: await withoutPixels(file), // which may be large
  });
  return (await response.json()) as { recipe: PictureRecipe; model: string | null };
}

/** The part of a picture's recipe that the form shows. */
export interface PictureRecipe {
  readonly model: string;
  readonly labels: readonly (number | null)[];
  readonly seed: number;
  readonly first?: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly edit?: NonNullable<GenerateInput["edit"]>;
}

/** Events of a request until it is over. Aborting stops the work on the server. */
export const generate = (request: GenerateInput, signal: AbortSignal): AsyncGenerator<ServerEvent> =>
  events<ServerEvent>("/v1/generate", request, signal);

/** Events of a measurement until it is over. Aborting ends it on the server. */
export const measureDynamics = (
  request: { readonly models: readonly string[]; readonly count: number; readonly seed: number },
  signal: AbortSignal,
): AsyncGenerator<DynamicsEvent> => events<DynamicsEvent>("/v1/dynamics", request, signal);

async function* events<E>(path: string, request: unknown, signal: AbortSignal): AsyncGenerator<E> {
  const response = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  yield* readEvents<E>(response);
}
