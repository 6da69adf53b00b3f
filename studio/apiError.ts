/** Failures that an answer tells, with a code and what to do. */
import type { ErrorBody } from "../src/server/protocol.ts";

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  constructor({ message, code, hint }: ErrorBody["error"]) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** The server is not there, or went away. */
export const offline = (message = "The server does not answer."): ApiError =>
  new ApiError({
    message,
    code: "OFFLINE",
    type: "",
    param: null,
    hint: "Is `nextx serve` still running?",
  });
