/** Limits that the page shows, too. */

/** Most pictures of one request. */
export const maxPictures = 32;
/** Larger models are not computed in pages: they would have to be fetched first. */
export const maxPageModelBytes = 64 * 2 ** 20;
/** Most tokens of one request, over all its pictures. */
export const maxRequestTokens = 2 ** 16;
/** Most bytes of a part. */
export const filePartBytes = 8 * 2 ** 20;
