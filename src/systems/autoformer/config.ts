/**
 * Configuration of Autoformer. Every field carries its official name (`official`), by which reference cases are read.
 * Defaults are the official ones.
 */
import { z } from "zod";

const length = z.int().min(1).max(100_000);
const channels = z.int().min(1).max(10_000);

/** Time features per step by sampling period (official `freq`), for `embed: "timeF"`. */
export const markCounts = { h: 4, t: 5, s: 6, m: 1, a: 1, w: 2, d: 3, b: 3 } as const;

/** Rows of the calendar tables, in the order of the marks' columns: 1 to 12, 1 to 31, 0 to 6, 0 to 23, quarters 0 to 3. */
export const calendarRows = { month: 13, day: 32, weekday: 7, hour: 24, minute: 4 } as const;

export type CalendarUnit = keyof typeof calendarRows;

/** Several of a period, such as 15min or 3h. */
const severalPeriods = z.string().regex(/^\d{1,4}(s|t|min|h|d|b|w|m|a)$/);

export const autoformerSchema = z
  .strictObject({
    contextLength: length.default(96).meta({ official: "seq_len" }).describe("Rows that are looked back on."),
    labelLength: z
      .int()
      .min(0)
      .max(100_000)
      .default(48)
      .meta({ official: "label_len" })
      .describe("Last rows of the look-back that the decoder starts with."),
    predictionLength: length
      .default(96)
      .meta({ official: "pred_len" })
      .describe("Rows that are forecast at once."),
    window: z
      .int()
      .min(1)
      .max(9_999)
      .default(25)
      .meta({ official: "moving_avg" })
      .describe("Width of the moving average."),
    channels: channels.default(7).meta({ official: "enc_in" }),
    decoderChannels: channels.default(7).meta({ official: "dec_in" }),
    outputs: channels.default(7).meta({ official: "c_out" }),
    embedDim: z.int().min(1).max(16_384).default(512).meta({ official: "d_model" }),
    numHeads: z.int().min(1).max(256).default(8).meta({ official: "n_heads" }),
    encoderDepth: z.int().min(1).max(64).default(2).meta({ official: "e_layers" }),
    decoderDepth: z.int().min(1).max(64).default(1).meta({ official: "d_layers" }),
    feedForwardDim: z.int().min(1).max(65_536).default(2048).meta({ official: "d_ff" }),
    factor: z
      .number()
      .gt(0)
      .max(1_000)
      .default(3)
      .meta({ official: "factor" })
      .describe("floor(factor ln L) lags are kept."),
    dropout: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .meta({ official: "dropout" })
      .describe("Only 0 is trained here; it plays no part in forecasts."),
    embed: z
      .enum(["timeF", "fixed", "learned"])
      .default("timeF")
      .meta({ official: "embed" })
      .describe("Time marks as features of a layer, or as rows of calendar tables: sines, or learned."),
    frequency: z
      .enum(["h", "t", "s", "m", "a", "w", "d", "b"])
      .or(severalPeriods)
      .default("h")
      .meta({ official: "freq" })
      .describe("Sampling period, which decides the time marks; several of one only with calendar tables."),
    activation: z.enum(["gelu", "relu"]).default("gelu").meta({ official: "activation" }),
    outputAttention: z
      .boolean()
      .default(false)
      .meta({ official: "output_attention" })
      .describe("Changes no forecast: maps of lags are never given out."),
  })
  .refine((c) => c.numHeads <= c.embedDim, {
    error: "every head needs a channel of embedDim",
    path: ["numHeads"],
  })
  .refine((c) => c.window % 2 === 1, { error: "the window of a moving average is odd", path: ["window"] })
  .refine((c) => c.embed !== "timeF" || Object.hasOwn(markCounts, c.frequency), {
    error: "time features exist for single periods",
    path: ["frequency"],
  })
  .refine((c) => c.labelLength <= c.contextLength, {
    error: "the decoder cannot start with more rows than are looked back on",
    path: ["labelLength"],
  })
  .refine((c) => [1, c.channels].includes(c.outputs) && c.channels === c.decoderChannels, {
    error: "trends of the look-back are added to the outputs: one, or as many as there are channels",
    path: ["outputs"],
  });

export type AutoformerConfig = z.infer<typeof autoformerSchema>;

/** Tables that a configuration looks the calendar up in, by column; none with time features. */
export function calendarOf({ embed, frequency }: AutoformerConfig): readonly CalendarUnit[] {
  if (embed === "timeF") return [];
  return frequency === "t"
    ? ["month", "day", "weekday", "hour", "minute"]
    : ["month", "day", "weekday", "hour"];
}

/** Time marks per step. */
export function marksOf(config: AutoformerConfig): number {
  const { embed, frequency } = config;
  // single periods are refined above
  return embed === "timeF" ? markCounts[frequency as keyof typeof markCounts] : calendarOf(config).length;
}
