/** How large bodies of requests may be: each, and all together that are on their way. */
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { NextxError } from "../tensor/errors.ts";
import { BusyError } from "./errors.ts";

/** Most bytes of all bodies at once: eight parts of files. */
const maxComingBytes = 64 * 2 ** 20;
/** A part of a file from this machine takes less. */
const busySeconds = 1;

/**
 * Makes limits that count together. A body counts as long as it was declared to be, from its headers until its request is
 * over; one of unknown length counts as the longest that its route takes. Errors: BODY_TOO_LARGE, BODIES_BUSY.
 */
export function bodyLimits(): (maxSize: number) => MiddlewareHandler {
  let comingBytes = 0;
  return (maxSize) => {
    const refuse = (): never => {
      throw new NextxError("BODY_TOO_LARGE", `A request's body has at most ${maxSize} bytes.`);
    };
    const counted = bodyLimit({ maxSize, onError: refuse });
    return (c, next) => {
      // a declared length is compared as it stands: asking for the body of a request costs more
      const isOpen = c.req.header("transfer-encoding") !== undefined;
      const bytes = isOpen ? maxSize : Number(c.req.header("content-length") ?? 0);
      if (!(bytes <= maxSize)) refuse();
      if (bytes === 0) return next();
      if (comingBytes + bytes > maxComingBytes)
        throw new BusyError("BODIES_BUSY", "Too much is on its way here.", busySeconds, "Send it again.");
      comingBytes += bytes;
      return (isOpen ? counted(c, next) : next()).finally(() => {
        comingBytes -= bytes;
      });
    };
  };
}
