/**
 * Who may talk to the server: requests for a host name that is ours (a page elsewhere can point its own name at this
 * machine), from our own origin or from no page, and with the token where one is set.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { NextxError } from "../tensor/errors.ts";

export interface GuardOptions {
  /** Host names that clients may use, without port. */
  readonly hosts: readonly string[];
  readonly token: string | undefined;
}

/** Names of this machine for itself. */
export const loopbackHosts = ["localhost", "127.0.0.1", "[::1]"] as const;

const nameOf = (host: string): string => host.toLowerCase().replace(/:\d+$/, "");
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** All but health, and the page itself, which asks for the token. */
const isGuarded = (path: string): boolean => path.startsWith("/v1/") || path === "/metrics";

/** Refuses with HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, AUTH_TOKEN_NEEDED. */
export function guard({ hosts, token }: GuardOptions): MiddlewareHandler {
  const allowed = new Set(hosts.map((host) => host.toLowerCase()));
  const wanted = token === undefined ? undefined : digest(`Bearer ${token}`);
  return async (c, next) => {
    const host = c.req.header("host") ?? "";
    if (!allowed.has(nameOf(host))) {
      throw new NextxError("HOST_NOT_ALLOWED", "This host name is not served.", {
        hint: "Use the address that the server printed, or start it with --allow-host NAME.",
      });
    }
    const origin = c.req.header("origin");
    const site = c.req.header("sec-fetch-site") ?? "none"; // pages elsewhere ask for pictures without an origin
    const isElsewhere = isGuarded(c.req.path) && site !== "none" && site !== "same-origin";
    if (isElsewhere || (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`))
      throw new NextxError("ORIGIN_NOT_ALLOWED", "Requests from other pages are not served.");
    if (
      wanted &&
      isGuarded(c.req.path) &&
      !timingSafeEqual(wanted, digest(c.req.header("authorization") ?? ""))
    ) {
      throw new NextxError("AUTH_TOKEN_NEEDED", "A token is needed.", {
        hint: "Send `Authorization: Bearer TOKEN`.",
      });
    }
    await next();
  };
}
