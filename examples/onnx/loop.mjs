/**
 * Runs a folder that `nextx export MODEL --onnx FOLDER` wrote, with onnxruntime-node and nothing else. The same seed gives
 * the same tokens as `nextx sample`. A server in another language ports this file: everything model-specific is in
 * manifest.json. loop.py is the same in Python.
 *
 *   node loop.mjs FOLDER --class 0,1 --seed 7 --first 0 --cfg-scale 1.5 --top-k 900 --top-p 0.96 --out picture.ppm
 *
 * Without FOLDER it takes the folder it lies in. onnxruntime-node is found from there or from where it is run.
 *
 * Shape letters: G branches (2 with guidance: conditional, unconditional), B pictures, N sites of a scale, M past sites.
 */
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const ort = require(require.resolve("onnxruntime-node", { paths: [here, process.cwd()] }));

/** Threefry-2x32, 20 rounds: two words from a key and a counter. */
function threefry(key0, key1, counter0, counter1) {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda];
  const rotations = [
    [13, 15, 26, 6],
    [17, 29, 16, 24],
  ];
  let [x0, x1] = [(counter0 + key0) | 0, (counter1 + key1) | 0];
  for (let group = 0; group < 5; group++) {
    for (const r of rotations[group % 2]) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    }
    x0 = (x0 + keys[(group + 1) % 3]) | 0;
    x1 = (x1 + keys[(group + 2) % 3] + group + 1) | 0;
  }
  return [x0, x1];
}

/** Uniform numbers in [0, 1) of one picture: the key is the seed, forked by the letters of `sample/INDEX`. */
function uniforms(seed, index) {
  let key = [seed | 0, Math.floor(seed / 2 ** 32)];
  [...`sample/${index}`].forEach((letter, i) => {
    key = threefry(key[0], key[1], letter.charCodeAt(0), i + 1);
  });
  let block = 0;
  return () => {
    const [high, low] = threefry(key[0], key[1], block++, 0).map((word) => word >>> 0);
    return ((high >>> 5) * 67108864 + (low >>> 6)) / 9007199254740992;
  };
}

/** One token from a row of logits: top-k, then top-p, then one draw. */
function choose(logits, draw, { topK, topP, temperature, greedy }) {
  const isGreedy = greedy || temperature === 0 || topK === 1;
  const row = isGreedy || temperature === 1 ? logits : logits.map((value) => value / temperature);
  const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
  if (isGreedy) return order[0];
  const kthBest = topK > 0 && topK < row.length ? row[order[topK - 1]] : Number.NEGATIVE_INFINITY;
  const kept = order.filter((id) => row[id] >= kthBest);
  const weights = kept.map((id) => Math.exp(row[id] - row[kept[0]]));
  const total = weights.reduce((a, b) => a + b, 0);
  let count = kept.length;
  if (topP > 0 && topP < 1) {
    for (let tail = 0; count > 1; count--) {
      tail += weights[count - 1] / total;
      if (tail > 1 - topP) break;
    }
  }
  const sum = weights.slice(0, count).reduce((a, b) => a + b, 0);
  let left = draw;
  for (let i = 0; i < count; i++) {
    left -= weights[i] / sum;
    if (left < 0) return kept[i];
  }
  return kept[0];
}

/** The export as something to run. */
async function open(folder, threads) {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  if (manifest.format !== "nextx-onnx-loop" || manifest.version !== 2) throw new Error("another manifest");
  const sessions = new Map();
  const session = async (name) => {
    const path = join(folder, manifest.graphs[name].file);
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 4 };
    if (!sessions.has(name)) sessions.set(name, await ort.InferenceSession.create(path, options));
    return sessions.get(name);
  };
  /** Runs a graph; outputs come under the graph's own names. */
  const run = async (name, feeds) => {
    const { inputs, outputs } = manifest.graphs[name];
    const taken = Object.fromEntries(inputs.map((input) => [input.name, feeds[input.name]]));
    const results = await (await session(name)).run(taken);
    return Object.fromEntries(
      Object.entries(outputs).map(([own, { name: inFile }]) => [own, results[inFile]]),
    );
  };
  const tensor = (name) => {
    const { file, offset, shape } = manifest.tensors[name];
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const handle = openSync(join(folder, file), "r");
    readSync(handle, new Uint8Array(data.buffer), 0, data.byteLength, offset);
    closeSync(handle);
    return floats(data, shape);
  };
  return { manifest, run, tensor };
}

const floats = (data, dims) => new ort.Tensor("float32", data, dims);
const ints = (data, dims) => new ort.Tensor("int32", Int32Array.from(data), dims);
const zeros = (dims) => floats(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);

/** Token ids of every scale [B * N], and the decoded pictures [B, 3, S, S] in [-1, 1]. */
export async function generate(folder, { labels, seed = 0, first = 0, threads = 2, ...settings }) {
  const { manifest, run, tensor } = await open(folder, threads);
  const { scales, codeWidth, width, cache, vocabSize } = manifest;
  const sampling = { ...manifest.sampling, ...settings };
  const batch = labels.length;
  const isWhole = (value, end) => Number.isSafeInteger(value) && value >= 0 && value < end;
  if (batch === 0 || !labels.every((label) => isWhole(label, manifest.nullLabel)))
    throw new RangeError(`Classes are 0 to ${manifest.nullLabel - 1}.`);
  if (![seed, first].every((value) => isWhole(value, 2 ** 53)))
    throw new RangeError("Seed and first are whole numbers from 0 on.");
  const codebook = tensor("codebook").data;
  const draws = labels.map((_, i) => uniforms(seed, first + i));
  const guidance = scales.map(
    (_, s) => manifest.guidance.slope[s] * sampling.cfgScale + manifest.guidance.offset[s],
  );
  const branches = guidance.some((t) => t !== 0) ? 2 : 1;
  const guided = branches === 2 ? "-guided" : "";
  const state = {};
  let codes = new Float32Array(0);

  /** What the manifest says an input is, at scale s. */
  const feed = (input, s) => {
    switch (input.from) {
      case "tensor":
        return tensor(input.name);
      case "tensors":
        return tensor(input.names[s]);
      case "values":
        return ints([input.values[s]], []);
      case "codes":
        return floats(codes, [batch, scales[s].size, codeWidth]);
      case "codeMap":
        return codeMap(codes, batch, scales[s], codeWidth);
      case "state":
        return state[input.name] ?? zeros([batch, ...input.shape]);
      case "nextPositions":
        return rows(scales[s + 1] ?? scales[0]);
      default:
        throw new Error(`an input from "${input.from}"`);
    }
  };
  const feeds = (inputs, s) =>
    Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, feed(input, s)]));

  const { positions } = await run("positions", feeds(manifest.positions, 0)); // [1, L, C]
  const rows = ({ start, size }) =>
    floats(positions.data.slice(start * width, (start + size) * width), [1, size, width]);

  const conditional = labels.map((label) => label ?? manifest.nullLabel);
  const all = branches === 2 ? [...conditional, ...labels.map(() => manifest.nullLabel)] : conditional;
  const start = await run(`start${guided}`, {
    labels: ints(all, [branches, batch]),
    positions: rows(scales[0]),
  });
  let x = start.x; // [G, B, N, C]
  const names = Array.from({ length: cache.layers }, (_, i) => [`key${i}`, `value${i}`]).flat();
  let past = Object.fromEntries(
    names.map((name) => [name, zeros([branches * batch, cache.heads, 0, cache.headWidth])]),
  );
  const ids = [];
  for (const [s, scale] of scales.entries()) {
    const { logits, ...grown } = await run(`step${guided}`, {
      x,
      layers: start.layers,
      head: start.head,
      guidance: floats([guidance[s]], []),
      ...past,
    });
    past = grown;
    const tokens = new Int32Array(batch * scale.size);
    codes = new Float32Array(tokens.length * codeWidth);
    for (let i = 0; i < tokens.length; i++) {
      const row = logits.data.subarray(i * vocabSize, (i + 1) * vocabSize);
      const draw = draws[Math.floor(i / scale.size)](); // one per token, used or not
      const id = choose(row, draw, { ...sampling, greedy: manifest.greedy[s] });
      tokens[i] = id;
      codes.set(codebook.subarray(id * codeWidth, (id + 1) * codeWidth), i * codeWidth);
    }
    ids.push(tokens);
    const isLast = s === scales.length - 1;
    if (isLast && !manifest.advanceLast) continue;
    const { x: next, ...kept } = await run("advance", feeds(manifest.advance, s));
    Object.assign(state, kept);
    if (!isLast) x = repeat(next, branches);
  }
  const { images } = await run("decode", feeds(manifest.decode, scales.length - 1));
  return { ids, images, size: manifest.pictureSize };
}

/** [B, N, C] as a map [B, C, side, side]. */
function codeMap(codes, batch, { size, side }, width) {
  const map = new Float32Array(codes.length);
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < size; i++)
      for (let c = 0; c < width; c++) map[(b * width + c) * size + i] = codes[(b * size + i) * width + c];
  return floats(map, [batch, width, side, side]);
}

/** The same rows for every branch: [B, ...] -> [G, B, ...]. */
function repeat({ data, dims }, branches) {
  const repeated = new Float32Array(data.length * branches);
  for (let i = 0; i < branches; i++) repeated.set(data, i * data.length);
  return floats(repeated, [branches, ...dims]);
}

/** The first picture as a PPM file. */
function ppm({ data }, size) {
  const plane = size * size;
  const pixels = Uint8Array.from({ length: 3 * plane }, (_, i) => {
    const value = (data[(i % 3) * plane + Math.floor(i / 3)] + 1) * 127.5;
    return Math.round(Math.min(Math.max(value, 0), 255));
  });
  return Buffer.concat([Buffer.from(`P6 ${size} ${size} 255\n`), pixels]);
}

if (process.argv[1] !== undefined && import.meta.url.endsWith(process.argv[1].split(/[\\/]/).at(-1))) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      class: { type: "string", default: "0" },
      seed: { type: "string", default: "0" },
      first: { type: "string", default: "0" },
      "cfg-scale": { type: "string" },
      "top-k": { type: "string" },
      "top-p": { type: "string" },
      temperature: { type: "string" },
      threads: { type: "string", default: "2" },
      out: { type: "string" },
    },
  });
  const settings = {
    cfgScale: values["cfg-scale"],
    topK: values["top-k"],
    topP: values["top-p"],
    temperature: values.temperature,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const { ids, images, size } = await generate(positionals[0] ?? here, {
    labels: values.class.split(",").map(Number),
    seed: Number(values.seed),
    first: Number(values.first),
    threads: Number(values.threads),
    ...Object.fromEntries(given.map(([name, value]) => [name, Number(value)])),
  });
  if (values.out !== undefined) writeFileSync(values.out, ppm(images, size));
  console.log(JSON.stringify({ ids: ids.map((scale) => Array.from(scale)) }));
}
