/** Parts that several routes describe alike. */
import { z } from "@hono/zod-openapi";
import { errorSchema } from "../protocol.ts";

const failure = (description: string) => ({
  description,
  content: { "application/json": { schema: errorSchema } },
});

/** Answers of every route that takes work. */
export const failures = {
  400: failure("A value is wrong; `param` says where."),
  404: failure("No such model."),
  429: failure("The queue is full, or too much is on its way; `Retry-After` says when to try again."),
  503: failure("The server is stopping or its device is lost."),
} as const;

export const conflict = { 409: failure("Not in the state that it is in.") } as const;

export const notFound = { 404: failure("There is no such thing.") } as const;

/** Pictures side by side. */
export const contactSheet = {
  description: "A contact sheet.",
  content: { "image/png": { schema: z.string().meta({ format: "binary" }) } },
} as const;

/** A model's weights with what they mean. */
export const modelFile = {
  description: "A safetensors file.",
  content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
} as const;
