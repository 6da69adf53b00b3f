/** The studio's files; without a built studio the first page is the API's. */
import type { App } from "../appType.ts";
import type { StaticFiles } from "../staticFiles.node.ts";

/** Files whose names carry their hash never change. */
const forever = "public, max-age=31536000, immutable";

export function addStudio(app: App, files: StaticFiles | undefined): void {
  if (files === undefined) {
    app.get("/", (c) => c.redirect("/docs"));
    return;
  }
  app.get("/*", async (c, next) => {
    const path = c.req.path === "/" ? "/index.html" : c.req.path;
    const file = files.get(path);
    if (file === undefined) return next();
    const cache = path.startsWith("/assets/") ? forever : "no-cache";
    return c.body(file.bytes, 200, { "Content-Type": file.type, "Cache-Control": cache });
  });
}
