/** The static report of a run. */
export async function writeRunReport(_folder: string): Promise<void> {}
