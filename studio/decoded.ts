/** A part of an address, or its raw text where it is damaged: an address that was cut off still opens a page. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}
