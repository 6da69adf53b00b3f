/** What every command knows. */
export interface Context {
  readonly version: string;
  /** Machine output: JSON lines on stdout. */
  readonly json: boolean;
  /** Words after the command's name, before parsing: some commands choose their flags by the first. */
  readonly argv: readonly string[];
}

/** The word that a command is about: the first that is known, for flags and their values may stand before it. */
export function firstWord({ argv }: Context, isKnown: (word: string) => boolean): string | undefined {
  const words = argv.filter((word) => !word.startsWith("-"));
  return words.find(isKnown) ?? (argv[0]?.startsWith("-") ? undefined : argv[0]);
}
