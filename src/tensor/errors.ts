/**
 * The one error class of nextx.
 * Every failure a user can meet carries a stable `code` (AREA_REASON), where it happened (`path`) and what to do (`hint`).
 * Plain JavaScript errors that escape from nextx are defects.
 */

/** Details that accompany an error; `cause` is kept for debugging and never printed by default. */
export interface NextxErrorDetails {
  /** Where: a config path such as `patchNums[3]`, a file name, or a tensor name. */
  readonly path?: string;
  /** What the user can do about it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** A failure with a stable code, for example `SAFETENSORS_HEADER_TOO_LARGE`. */
export class NextxError extends Error {
  readonly code: string;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(code: string, message: string, details: NextxErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "NextxError";
    this.code = code;
    this.path = details.path;
    this.hint = details.hint;
  }
}

/** Throws `INTERNAL_INVARIANT` when a condition that our own code guarantees does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new NextxError("INTERNAL_INVARIANT", message, { hint: "This is a bug in nextx." });
}
