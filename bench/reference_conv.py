"""The convolutional autoencoder step of `nextx bench engine`, in PyTorch: its baseline.

usage: python reference_conv.py [threads=2] [steps=15] [device=cpu]
Encoder and decoder of VAR's tokenizer form at 32 px, ch 32, ch_mult 1, 2, one residual block (the decoder two), z 16, group norm
with 8 groups, attention at the lowest resolution and in the middle; batch 16, mean squared error, AdamW (betas 0.9, 0.95, weight
decay 0.05), gradient-norm clip 2. Prints one JSON line with the median time per step in milliseconds.
"""
import json, statistics, sys, time
import torch, torch.nn as nn, torch.nn.functional as F

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 15
device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
torch.set_num_threads(threads)
torch.set_default_device(device)
torch.manual_seed(0)
CH, MULT, BLOCKS, Z, GROUPS, BATCH, SIDE = 32, (1, 2), 1, 16, 8, 16, 32


def norm(channels):
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class Res(nn.Module):
    def __init__(self, inside, out):
        super().__init__()
        self.norm1, self.conv1 = norm(inside), nn.Conv2d(inside, out, 3, padding=1)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, padding=1)
        self.short = nn.Identity() if inside == out else nn.Conv2d(inside, out, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.short(x) + self.conv2(F.silu(self.norm2(h)))


class Attn(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.proj = norm(c), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, 3 * c, h * w).chunk(3, 1)
        weights = torch.softmax(q.transpose(1, 2) @ k * c**-0.5, -1)
        return x + self.proj((v @ weights.transpose(1, 2)).view(b, c, h, w))


class Down(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def build():
    last, inside = len(MULT) - 1, CH
    enc = [nn.Conv2d(3, CH, 3, padding=1)]
    for level, mult in enumerate(MULT):
        for _ in range(BLOCKS):
            enc.append(Res(inside, CH * mult))
            inside = CH * mult
            if level == last:
                enc.append(Attn(inside))
        if level != last:
            enc.append(Down(inside))
    enc += [Res(inside, inside), Attn(inside), Res(inside, inside), norm(inside), nn.SiLU(), nn.Conv2d(inside, Z, 3, padding=1)]
    dec = [nn.Conv2d(Z, inside, 3, padding=1), Res(inside, inside), Attn(inside), Res(inside, inside)]
    for level in range(last, -1, -1):
        for _ in range(BLOCKS + 1):
            dec.append(Res(inside, CH * MULT[level]))
            inside = CH * MULT[level]
            if level == last:
                dec.append(Attn(inside))
        if level > 0:
            dec.append(Up(inside))
    dec += [norm(inside), nn.SiLU(), nn.Conv2d(inside, 3, 3, padding=1)]
    return nn.Sequential(*enc, *dec)


model = build()
optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.05)
images = torch.randn(BATCH, 3, SIDE, SIDE) * 0.5
times = []
for _ in range(steps + 3):
    start = time.perf_counter()
    loss = F.mse_loss(model(images), images)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimiser.step()
    loss.item()  # waits for the device
    times.append((time.perf_counter() - start) * 1e3)
print(json.dumps({"torch": torch.__version__, "device": device, "threads": threads, "parameters": sum(p.numel() for p in model.parameters()),
                  "median_ms": round(statistics.median(times[3:]), 1), "min_ms": round(min(times), 1)}))
