/** Limits that the page shows, too. */

/** Most pictures of one request. */
export const maxPictures = 32;
/** Most tokens of one request, over all its pictures. */
export const maxRequestTokens = 2 ** 16;
