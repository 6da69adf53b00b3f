/** What every command knows. */
export interface Context {
  readonly version: string;
  /** Machine output: JSON lines on stdout. */
  readonly json: boolean;
  /** Words after the command's name, before parsing: some commands choose their flags by the first. */
  readonly argv: readonly string[];
}

/** First word that is no flag. */
export function firstWord({ argv }: Context): string | undefined {
  return argv[0]?.startsWith("-") ? undefined : argv[0];
}
