/** A client's request checked against its model: what will be computed, and what it costs. */
import { sha256Hex } from "../formats/durable.node.ts";
import { readPngSize } from "../formats/png.ts";
import { sampleRecipe } from "../sampleRecipe.ts";
import { NextxError } from "../tensor/errors.ts";
import type { Catalogue } from "./catalogue.node.ts";
import type { PlannedRequest } from "./job.ts";
import { maxPictures, maxRequestTokens } from "./limits.ts";
import type { GenerateRequest } from "./protocol.ts";

/** Most pixels of a picture to edit. */
const maxEditPixels = 4096 * 4096;

/** A PNG of a request: whoever computes decodes it. @throws NextxError EDIT_BAD_PICTURE, PNG_ codes */
function editBytes(base64: string, path: string): Uint8Array {
  const png = new Uint8Array(Buffer.from(base64, "base64"));
  const { width, height } = readPngSize(png, path);
  if (width * height <= maxEditPixels) return png;
  throw new NextxError("EDIT_BAD_PICTURE", "The picture to edit is too large.", { path });
}

/** @throws NextxError MODEL_NOT_FOUND, SAMPLING_, LABEL_, CONFIG_, PNG_, REQUEST_TOO_COSTLY */
export function planRequest(catalogue: Catalogue, request: GenerateRequest): PlannedRequest {
  const { model, settings, class: given, count, seed, first, columns, previews, edit } = request;
  const entry = catalogue.get(model);
  for (const reserved of ["class", "count", "seed", "first", "previews", "edit", "signal"]) {
    if (!Object.hasOwn(settings, reserved)) continue;
    throw new NextxError("CONFIG_UNKNOWN_KEY", `sampling has no "${reserved}".`, {
      path: `settings.${reserved}`,
    });
  }
  const picture = edit && {
    picture: editBytes(edit.png, "edit.png"),
    ...(edit.mask !== undefined && { mask: editBytes(edit.mask, "edit.mask") }),
    ...(edit.box && { box: edit.box }),
    where: edit.where,
  };
  const recipe = sampleRecipe(entry.subject, {
    ...settings,
    seed,
    first,
    ...(given !== undefined && { class: given }),
    ...(count !== undefined && { count }),
    ...(picture && { edit: picture as never }), // only asked whether there is one
  });
  const { labels } = recipe;
  if (labels.length > maxPictures)
    throw new NextxError("SAMPLING_BAD_OPTION", `At most ${maxPictures} pictures per request.`, {
      path: "count",
    });
  const cost = labels.length * entry.tokens(recipe.settings);
  if (cost > maxRequestTokens) {
    throw new NextxError(
      "REQUEST_TOO_COSTLY",
      `The request takes ${cost} tokens, more than ${maxRequestTokens}.`,
      {
        path: "count",
        hint: "Ask for fewer pictures, or a smaller schedule.",
      },
    );
  }
  const editKey = picture
    ? sha256Hex(
        JSON.stringify(picture.box ?? sha256Hex(picture.mask ?? new Uint8Array())) +
          picture.where +
          sha256Hex(picture.picture),
      )
    : "";
  return {
    recipe: { ...recipe },
    cost,
    bytes: (picture?.picture.length ?? 0) + (picture?.mask?.length ?? 0),
    key: [entry.name, entry.info.sha256, JSON.stringify(recipe.settings), editKey].join(" "),
    batch: { model: entry.name, sha256: entry.info.sha256, settings: recipe.settings, edit: picture },
    part: { labels, seed, first, columns, previews },
  };
}
