/** Failures as one line for people. */
import { ApiError } from "./apiError.ts";

export const textOf = (error: unknown): string =>
  error instanceof ApiError
    ? [error.message, error.hint].filter(Boolean).join(" ")
    : error instanceof Error
      ? error.message
      : String(error);

/** Whether somebody just stopped listening. */
export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";
