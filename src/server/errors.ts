/** Errors as clients see them: the OpenAI shape with our code, no stack, no path of this machine. */
import { NextxError } from "../tensor/errors.ts";
import type { PlainError } from "./compute/messages.ts";
import type { ErrorBody } from "./protocol.ts";

/** What is thrown inside as a NextxError; what is not one is a defect and says nothing to clients. */
export function toNextxError(error: unknown): NextxError {
  if (error instanceof NextxError) return error;
  return new NextxError("INTERNAL", "Something went wrong inside the server.", { cause: error });
}

/** A refusal that says itself when to ask again. */
export class BusyError extends NextxError {
  readonly retryAfterSeconds: number;

  constructor(code: string, message: string, retryAfterSeconds: number, hint: string) {
    super(code, message, { hint });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** An error on its way between processes; what is a defect is told here, not there. */
export function plainError(cause: unknown): PlainError {
  const error = toNextxError(cause);
  if (error !== cause) process.stderr.write(`nextx: ${cause instanceof Error ? cause.stack : cause}\n`);
  const { code, message, path, hint } = error;
  return { code, message, ...(path !== undefined && { path }), ...(hint !== undefined && { hint }) };
}

/** What arrived from another process, to be thrown here. */
export const arrivedError = ({ code, message, ...details }: PlainError): NextxError =>
  new NextxError(code, message, details);

const statuses: readonly (readonly [RegExp, 400 | 401 | 403 | 404 | 409 | 413 | 429 | 499 | 503 | 507])[] = [
  [
    /^(CONFIG_|SAMPLING_|LABEL_|RANDOM_BAD_SEED|EDIT_|PNG_|IMAGE_|FIT_|REQUEST_|RECIPE_|SYSTEM_|PLAN_|TRAIN_|CHECKPOINT_|SAFETENSORS_|PTH_|PICKLE_|ZIP_|NPY_|NPZ_|TENSOR_|SHARDS_|JSON_|CONVERT_|FILE_TRUNCATED$|MODEL_BAD_HEAD$|MODEL_TOO_DEEP$)/,
    400,
  ],
  [/^AUTH_/, 401],
  [/^(HOST_|ORIGIN_)/, 403],
  [
    /^(MODEL_NOT_FOUND|MODEL_NO_SAMPLES|JOB_NOT_FOUND|RUN_NOT_FOUND|CLAIM_UNKNOWN|ARENA_UNKNOWN|FILE_NOT_HERE|NOT_FOUND)$/,
    404,
  ],
  [/^(JOB_|RUN_|FILE_BAD_PART$|FILE_NOT_WHOLE$|FILE_SHELF_FULL$|FILE_EXISTS$|MODEL_CHANGED$)/, 409],
  [/^BODY_TOO_LARGE$/, 413],
  [/^(QUEUE_FULL|MEASURE_BUSY|BODIES_BUSY)$/, 429],
  [/^FILE_NO_SPACE$/, 507],
  [/^ABORTED$/, 499],
  [/^(SERVER_STOPPING|DEVICE_LOST|COMPUTE_CRASHED)$/, 503],
];

/** HTTP status of an error. */
export function statusOf({ code }: NextxError): number {
  return statuses.find(([pattern]) => pattern.test(code))?.[1] ?? 500;
}

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
};

export function errorBody(error: NextxError): ErrorBody {
  const status = statusOf(error);
  const type = types[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  const { message, code, path, hint } = error;
  return {
    error: {
      message: withoutPlaces(message),
      ...{ type, code, param: path === undefined ? null : withoutPlaces(path) },
      ...(hint !== undefined && { hint: withoutPlaces(hint) }),
    },
  };
}

/** The last name of every absolute path: clients learn nothing of where files lie. Addresses of the API stay. */
const withoutPlaces = (text: string): string =>
  text.replace(
    /(?<![\w.:/\\-])(?:[A-Za-z]:)?[\\/](?!v1[\\/])[^\s"'`,;()]*[\\/]([^\s"'`,;()\\/]+)/g,
    (_, name: string) => name,
  );
