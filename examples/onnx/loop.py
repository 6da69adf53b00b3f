"""Runs a folder that `nextx export MODEL --onnx FOLDER` wrote, with onnxruntime and numpy and nothing else. The same seed
gives the same tokens as `nextx sample`. It is loop.mjs in another language: everything model-specific is in manifest.json.

    python3 loop.py FOLDER --class 0,1 --seed 7 --first 0 --cfg-scale 1.5 --top-k 900 --top-p 0.96 --out picture.ppm

Without FOLDER it takes the folder it lies in.

Shape letters: G branches (2 with guidance: conditional, unconditional), B pictures, N sites of a scale, M past sites.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime as ort

WORD = 0xFFFFFFFF


def threefry(key, counter):
    """Threefry-2x32, 20 rounds: two words from a key and a counter."""
    keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]
    x0, x1 = (counter[0] + key[0]) & WORD, (counter[1] + key[1]) & WORD
    for group in range(5):
        for r in rotations[group % 2]:
            x0 = (x0 + x1) & WORD
            x1 = ((x1 << r | x1 >> (32 - r)) & WORD) ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & WORD
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & WORD
    return x0, x1


def uniforms(seed, index):
    """Uniform numbers in [0, 1) of one picture: the key is the seed, forked by the letters of `sample/INDEX`."""
    key = (seed & WORD, seed >> 32 & WORD)
    for i, letter in enumerate(f"sample/{index}"):
        key = threefry(key, (ord(letter), i + 1))
    block = 0
    while True:
        high, low = threefry(key, (block, 0))
        yield ((high >> 5) * 67108864 + (low >> 6)) / 9007199254740992
        block += 1


def choose(logits, draw, greedy, topK, topP, temperature, **_):
    """One token from a row of logits: top-k, then top-p, then one draw."""
    is_greedy = greedy or temperature == 0 or topK == 1
    row = logits
    if not is_greedy and temperature != 1:
        row = (logits.astype(np.float64) / temperature).astype(np.float32)
    order = np.argsort(-row, kind="stable")
    if is_greedy:
        return order[0]
    kth_best = row[order[topK - 1]] if 0 < topK < len(row) else -np.inf
    kept = order[row[order] >= kth_best]
    best = float(row[kept[0]])
    weights = [math.exp(float(row[i]) - best) for i in kept]
    total = sum(weights)
    count = len(kept)
    if 0 < topP < 1:
        tail = 0.0
        while count > 1:
            tail += weights[count - 1] / total
            if tail > 1 - topP:
                break
            count -= 1
    total = sum(weights[:count])
    left = draw
    for i in range(count):
        left -= weights[i] / total
        if left < 0:
            return kept[i]
    return kept[0]


class Loop:
    """The export as something to run."""

    def __init__(self, folder, threads):
        self.folder = Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest["format"] != "nextx-onnx-loop" or self.manifest["version"] != 2:
            raise ValueError("another manifest")
        self.options = ort.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 4
        self.sessions = {}

    def session(self, name):
        if name not in self.sessions:
            path = str(self.folder / self.manifest["graphs"][name]["file"])
            self.sessions[name] = ort.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])
        return self.sessions[name]

    def run(self, name, feeds):
        """Runs a graph; outputs come under the graph's own names."""
        graph = self.manifest["graphs"][name]
        taken = {port["name"]: feeds[port["name"]] for port in graph["inputs"]}
        in_file = [port["name"] for port in graph["outputs"].values()]
        return dict(zip(graph["outputs"], self.session(name).run(in_file, taken)))

    def tensor(self, name):
        place = self.manifest["tensors"][name]
        count = math.prod(place["shape"])
        data = np.fromfile(self.folder / place["file"], "<f4", count, offset=place["offset"])
        return data.reshape(place["shape"])


def code_map(codes, side):
    """[B, N, C] as a map [B, C, side, side]."""
    batch, _, width = codes.shape
    return np.ascontiguousarray(codes.transpose(0, 2, 1)).reshape(batch, width, side, side)


def generate(folder, labels, seed=0, first=0, threads=2, **settings):
    """Token ids of every scale [B * N], the decoded pictures [B, 3, S, S] in [-1, 1], and S."""
    loop = Loop(folder, threads)
    manifest, run = loop.manifest, loop.run
    scales, cache = manifest["scales"], manifest["cache"]
    sampling = {**manifest["sampling"], **settings}
    batch = len(labels)
    if not labels or not all(0 <= label < manifest["nullLabel"] for label in labels):
        raise ValueError(f"Classes are 0 to {manifest['nullLabel'] - 1}.")
    codebook = loop.tensor("codebook")
    draws = [uniforms(seed, first + i) for i in range(batch)]
    slope, offset = manifest["guidance"]["slope"], manifest["guidance"]["offset"]
    guidance = [s * sampling["cfgScale"] + o for s, o in zip(slope, offset)]
    branches = 2 if any(t != 0 for t in guidance) else 1
    guided = "-guided" if branches == 2 else ""
    state = {}
    codes = None

    def feed(given, s):
        """What the manifest says an input is, at scale s."""
        source = given["from"]
        if source == "tensor":
            return loop.tensor(given["name"])
        if source == "tensors":
            return loop.tensor(given["names"][s])
        if source == "values":
            return np.array(given["values"][s], np.int32)
        if source == "codes":
            return codes
        if source == "codeMap":
            return code_map(codes, scales[s]["side"])
        if source == "state":
            empty = np.zeros([batch, *given["shape"]], np.float32)
            return state.get(given["name"], empty)
        if source == "nextPositions":
            return rows(scales[s + 1] if s + 1 < len(scales) else scales[0])
        raise ValueError(f'an input from "{source}"')

    def feeds(inputs, s):
        return {name: feed(given, s) for name, given in inputs.items()}

    positions = run("positions", feeds(manifest["positions"], 0))["positions"]  # [1, L, C]

    def rows(scale):
        return positions[:, scale["start"] : scale["start"] + scale["size"]]

    both = [labels, [manifest["nullLabel"]] * batch][:branches]
    start = run(f"start{guided}", {"labels": np.array(both, np.int32), "positions": rows(scales[0])})
    x = start["x"]  # [G, B, N, C]
    empty = np.zeros([branches * batch, cache["heads"], 0, cache["headWidth"]], np.float32)
    past = {f"{kind}{i}": empty for i in range(cache["layers"]) for kind in ("key", "value")}
    ids = []
    for s, scale in enumerate(scales):
        given = {"x": x, "layers": start["layers"], "head": start["head"], **past}
        past = run(f"step{guided}", {**given, "guidance": np.array(guidance[s], np.float32)})
        logits = past.pop("logits").reshape(batch * scale["size"], manifest["vocabSize"])
        tokens = np.zeros(len(logits), np.int32)
        for i, row in enumerate(logits):
            draw = next(draws[i // scale["size"]])  # one per token, used or not
            tokens[i] = choose(row, draw, manifest["greedy"][s], **sampling)
        codes = codebook[tokens].reshape(batch, scale["size"], manifest["codeWidth"])
        ids.append(tokens)
        is_last = s == len(scales) - 1
        if is_last and not manifest["advanceLast"]:
            continue
        kept = run("advance", feeds(manifest["advance"], s))
        after = kept.pop("x")
        state.update(kept)
        if not is_last:
            x = np.stack([after] * branches)  # the same rows for every branch
    images = run("decode", feeds(manifest["decode"], len(scales) - 1))["images"]
    return ids, images, manifest["pictureSize"]


def ppm(images, size):
    """The first picture as a PPM file."""
    values = np.clip((images[0].astype(np.float64) + 1) * 127.5, 0, 255)
    pixels = np.floor(values + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return f"P6 {size} {size} 255\n".encode() + pixels.tobytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent)
    parser.add_argument("--class", dest="labels", default="0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cfg-scale", dest="cfgScale", type=float)
    parser.add_argument("--top-k", dest="topK", type=int)
    parser.add_argument("--top-p", dest="topP", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out")
    flags = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    out = flags.pop("out", None)
    labels = [int(label) for label in flags.pop("labels").split(",")]
    ids, images, size = generate(flags.pop("folder"), labels, **flags)
    if out is not None:
        Path(out).write_bytes(ppm(images, size))
    print(json.dumps({"ids": [scale.tolist() for scale in ids]}))


if __name__ == "__main__":
    main()
