"""Pictures by the authors' own VAR code, random weights: the baseline of `nextx bench sample --official var-d16 --authors FOLDER`.

usage: python authors_var.py FOLDER [threads=2] [pictures=1] [runs=3] [depth=16] [device=cpu]
FOLDER is a checkout of github.com/FoundationVision/VAR. VAR-d16's width, 256 px, guidance 4, top-k 900, top-p 0.95; `depth`
may be smaller for a quick look. Prints one JSON line with the median time per call in milliseconds and the peak memory of this process in bytes.
"""
import json, resource, statistics, sys, time, types
import torch

stdout, sys.stdout = sys.stdout, sys.stderr  # the authors' code prints; the one line of JSON stands alone

folder = sys.argv[1]
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
pictures = int(sys.argv[3]) if len(sys.argv) > 3 else 1
runs = int(sys.argv[4]) if len(sys.argv) > 4 else 3
depth = int(sys.argv[5]) if len(sys.argv) > 5 else 16
device = sys.argv[6] if len(sys.argv) > 6 else "cpu"
torch.set_num_threads(threads)
torch.manual_seed(0)

try:
    import huggingface_hub  # noqa: F401
except ImportError:  # the authors' model only inherits its upload methods
    hub = types.ModuleType("huggingface_hub")
    hub.PyTorchModelHubMixin = object
    sys.modules["huggingface_hub"] = hub

sys.path.insert(0, folder)
from models import VAR, VQVAE  # noqa: E402

patch_nums = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
vae = VQVAE(vocab_size=4096, z_channels=32, ch=160, test_mode=True, share_quant_resi=4, v_patch_nums=patch_nums).to(device)
var = VAR(vae_local=vae, num_classes=1000, depth=depth, embed_dim=1024, num_heads=16, drop_rate=0.0, attn_drop_rate=0.0,
          drop_path_rate=0.1 * 16 / 24, norm_eps=1e-6, shared_aln=False, cond_drop_rate=0.1, attn_l2_norm=True,
          patch_nums=patch_nums, flash_if_available=False, fused_if_available=False).to(device)
var.init_weights(init_adaln=0.5, init_adaln_gamma=1e-5, init_head=0.02, init_std=-1)
vae.eval(), var.eval()
labels = torch.full((pictures,), 207, dtype=torch.long, device=device)


def sample(seed):
    with torch.inference_mode():
        out = var.autoregressive_infer_cfg(B=pictures, label_B=labels, g_seed=seed, cfg=4, top_k=900, top_p=0.95)
        return float(out.sum())  # waits for the device


sample(0)
times = []
for run in range(runs):
    start = time.perf_counter()
    sample(run + 1)
    times.append(1000 * (time.perf_counter() - start))
print(json.dumps({
    "torch": torch.__version__,
    "threads": threads,
    "pictures": pictures,
    "depth": depth,
    "median_ms": statistics.median(times),
    "times_ms": times,
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}), file=stdout)
