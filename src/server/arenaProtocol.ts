/** What clients get about the arena. Runs in the page too. */
export { type ArenaResult, arenaSchema, type ImageArena, type SeriesArena } from "../claims/arena/result.ts";
