/** How a system reads the configurations of model files, which may say anything. */
import type { z } from "zod";
import { validate } from "../formats/validate.ts";
import { NextxError } from "../tensor/errors.ts";
import type { ModelDescription } from "./system.ts";

/** Two fields of a configuration that have to be the same. */
export interface Agreement {
  /** Of the field that is wrong where they differ: `transformer.patchNums`. */
  readonly path: string;
  readonly is: unknown;
  readonly shouldBe: unknown;
}

/** What follows from a configuration. */
export interface Consequences {
  /** Side in pixels of the pictures that it makes. */
  readonly imageSize: number;
  readonly agreements?: readonly Agreement[];
}

export interface ModelConfigs<Config> {
  /** The configuration, checked and completed. @throws NextxError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE */
  read(description: ModelDescription): Config;
  /** That of a model with all its parts, which must fit each other and the pictures' size. @throws NextxError as `read` */
  readWhole(description: ModelDescription): Config;
}

/** What every model says of its classes. */
interface WithClasses {
  readonly transformer: { readonly numClasses: number };
}

/** @param consequences computed from a configuration that the schema takes */
export function modelConfigs<S extends z.ZodType<WithClasses>>(
  schema: S,
  consequences: (config: z.infer<S>) => Consequences,
): ModelConfigs<z.infer<S>> {
  const read = ({ config }: ModelDescription): z.infer<S> => validate(schema, config, "config");
  const readWhole = (description: ModelDescription): z.infer<S> => {
    const config = read(description);
    const { imageSize, agreements = [] } = consequences(config);
    for (const { path, is, shouldBe } of agreements) {
      if (String(is) !== String(shouldBe)) throw badValue(`config.${path}`, `${is}`, `${shouldBe}`);
    }
    if (description.imageSize !== imageSize)
      throw badValue("imageSize", `${description.imageSize}`, `${imageSize}`);
    const [named, { numClasses }] = [description.classNames.length, config.transformer];
    if (named !== numClasses) throw badValue("classNames", `${named} names`, `${numClasses}`);
    return config;
  };
  return { read, readWhole };
}

function badValue(path: string, is: string, shouldBe: string): NextxError {
  return new NextxError(
    "CONFIG_BAD_VALUE",
    `${path} is ${is}; what else the file says asks for ${shouldBe}.`,
    {
      path,
    },
  );
}

/** A tokenizer and a transformer that count the same scales. */
export const sameSchedules = ({
  tokenizer,
  transformer,
}: Readonly<Record<"tokenizer" | "transformer", { readonly patchNums: readonly number[] }>>): Agreement => ({
  path: "transformer.patchNums",
  is: transformer.patchNums,
  shouldBe: tokenizer.patchNums,
});
