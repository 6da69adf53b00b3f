/** Environment variables: read here and nowhere else. */

/** `NEXTX_DATA`: the folder that holds the data sets. */
export function dataRootFromEnvironment(): string | undefined {
  return process.env.NEXTX_DATA || undefined;
}
