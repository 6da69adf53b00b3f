/** H8: who can reach the server, by which names, and whom it calls. */
import { request } from "node:http";
import { NextxError } from "../../../tensor/errors.ts";
import type { Goal } from "./goal.ts";
import { socketsOf, startTarget, type Target, type TargetOptions } from "./target.ts";

/** 127.0.0.1 and ::1 as /proc/net/tcp writes them. */
const loopback = /^(0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F):/;

function statusOf({ port }: Target, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", path: "/v1/models", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}

const escapes = [
  "..",
  "../..",
  "%2e%2e",
  "..%2f..%2fpackage.json",
  "%2fetc%2fpasswd",
  "a%00b",
  "C:%5Cx",
  "....//",
  "~",
  ".",
];
const places = ["models", "jobs", "runs", "files", "operations", "claims"];

/** Addresses that name something outside, and were answered as if they named something. */
async function reached(target: Target): Promise<string[]> {
  const found: string[] = [];
  for (const place of places)
    for (const id of escapes) {
      const { status } = await fetch(`${target.url}v1/${place}/${id}/events`).catch(() => ({ status: 0 }));
      const { status: plain, url } = await fetch(`${target.url}v1/${place}/${id}`).catch(() => ({
        status: 0,
        url: "",
      }));
      const isInside = url.startsWith(`${target.url}v1/${place}/`); // dots are taken out by the client itself
      if (status === 200 || (plain === 200 && isInside)) found.push(`${place}/${id}`);
    }
  return found;
}

/** Whether it refuses to listen beyond this machine without a token. */
async function needsToken(options: TargetOptions): Promise<boolean> {
  try {
    await using _ = await startTarget({ ...options, args: ["--host=0.0.0.0"] });
    return false;
  } catch (error) {
    return error instanceof NextxError && error.message.includes("SERVE_TOKEN_REQUIRED");
  }
}

export async function exposure(target: Target, options: TargetOptions): Promise<Goal> {
  const sockets = socketsOf(target.pid);
  const listening = sockets?.filter(({ isListening }) => isListening) ?? [];
  const outside = sockets?.filter(({ remote, isListening }) => !isListening && !loopback.test(remote)) ?? [];
  const own = `127.0.0.1:${target.port}`;
  const statuses = {
    ownName: await statusOf(target, { host: own }),
    otherName: await statusOf(target, { host: `evil.example:${target.port}` }),
    otherOrigin: await statusOf(target, { host: own, origin: "http://evil.example" }),
  };
  const paths = await reached(target);
  const token = await needsToken(options);
  const isLoopback = listening.length > 0 && listening.every(({ local }) => loopback.test(local));
  return {
    id: "H8",
    text: "listens on this machine only, elsewhere needs a token; other host names and origins get 403; ids are no paths; calls nobody",
    holds:
      (sockets === undefined || (isLoopback && outside.length === 0)) &&
      statuses.ownName === 200 &&
      statuses.otherName === 403 &&
      statuses.otherOrigin === 403 &&
      paths.length === 0 &&
      token,
    figures: {
      ...statuses,
      listensOnLoopbackOnly: sockets === undefined ? "not told by this system" : isLoopback,
      connectionsElsewhere: outside.length,
      escapesTried: places.length * escapes.length * 2,
      escapesAnswered: paths.join("; ") || "none",
      tokenNeededBeyond: token,
    },
  };
}
