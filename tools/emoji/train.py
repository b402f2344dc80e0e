"""Train the embedded CLIP `emoji-clip/croftbench` on rendered image-name pairs.

    python tools/emoji/pairs.py --output /tmp/pairs
    python tools/emoji/train.py --pairs /tmp/pairs --output croftbench/embedded/clip --minutes 75

A plain contrastive CLIP (open_clip architecture, bf16 autocast). Two departures, both for small batches: pairs of one
glyph in a batch are all positives, and each image is also contrasted with names drawn from the emoji vocabulary.
The learning rate follows the clock, one cycle over --minutes, so that a run always ends annealed; the number of pairs
that were seen is printed and belongs in the model card. Progress is monitored on the *training* styles of the
suites; test styles are never looked at.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import open_clip
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from augment import augment
from glyphs import SIZE
from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode, default_bpe
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

CONTEXT, VOCABULARY = 32, 4000
LONGEST = 14
"""Tokens of a training caption; the rare longer one is cut before its end token."""
NAMES = 256
"""Names of the emoji vocabulary that each batch of images is also contrasted with."""
MEAN, STD = (0.85, 0.83, 0.81), (0.27, 0.27, 0.29)
TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "a {}.",
    "an icon of a {}.",
    "a drawing of a {}.",
    "a picture of a {}.",
    "an emoji of a {}.",
    "the {}",
)
MIXTURE = {"emoji": 0.27, "emoji-line": 0.10, "face": 0.05, "exact": 0.28, "icon": 0.30}
MONITOR = ("noto", "emojione", "fluent-emoji-flat")
CORE = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--images", type=Path, default=Path(__file__).parents[2] / "croftbench/embedded/emoji/images.parquet"
    )
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    pairs = json.loads((args.pairs / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    pixels = np.load(args.pairs / "pixels.npy")
    bpe = args.output / "bpe.txt.gz"
    bpe.write_bytes(gzip.compress(shortened_bpe(pairs).encode(), mtime=0))
    tokenizer = SimpleTokenizer(bpe_path=str(bpe), context_length=CONTEXT)
    config = architecture(tokenizer.vocab_size)
    (args.output / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = open_clip.CLIP(**config["model_cfg"]).to(args.device).to(memory_format=torch.channels_last)
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, vocabulary {tokenizer.vocab_size}",
        flush=True,
    )

    optimizer = torch.optim.AdamW(parameter_groups(model), lr=args.lr, betas=(0.9, 0.98), eps=1e-6)
    sampler = Sampler(pairs, pixels, tokenizer, args.batch, torch.Generator().manual_seed(args.seed))
    start, step, last_report = time.time(), 0, 0.0
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * (
                min(1, done / 0.04) if done < 0.04 else 0.5 * (1 + math.cos(math.pi * (done - 0.04) / 0.96))
            )
        loss = contrastive(model, *(x.to(args.device) for x in sampler.draw()), args.device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        step += 1
        if step % 50 == 0:
            print(
                f"step {step} loss {loss.item():.3f}",
                f"pairs/s {step * args.batch / (time.time() - start):.0f} done {done:.3f}",
                flush=True,
            )
        if done - last_report > 0.1:
            last_report = done
            print({s: round(zero_shot(model, tokenizer, args.images, s, args.device), 4) for s in MONITOR}, flush=True)
            save(model, args.output)
    save(model, args.output)
    print(f"{step} steps, {step * args.batch} pairs in {(time.time() - start) / 60:.1f} min")
    print({s: round(zero_shot(model, tokenizer, args.images, s, args.device), 4) for s in MONITOR})


def architecture(vocabulary: int) -> dict:
    """open_clip's description of the model: a modified ResNet at 64 px and a two-layer text transformer."""
    return {
        "model_cfg": {
            "embed_dim": 256,
            "vision_cfg": {"image_size": SIZE, "layers": [1, 2, 2, 2], "width": 32, "patch_size": None},
            "text_cfg": {"context_length": CONTEXT, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2},
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    }


def parameter_groups(model: torch.nn.Module) -> list[dict]:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]


def contrastive(
    model, images: Tensor, texts: Tensor, keys: Tensor, names: Tensor, name_keys: Tensor, device: str
) -> Tensor:
    """Symmetric InfoNCE with every pair of equal keys positive; image -> text also sees `names`."""
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
        z = F.normalize(model.encode_image(images.contiguous(memory_format=torch.channels_last)).float(), dim=-1)
        t = F.normalize(encode_text(model, torch.cat([texts, names])).float(), dim=-1)
    logits = model.logit_scale.exp() * z @ t.T  # (B, B + names)
    same = keys[:, None] == torch.cat([keys, name_keys])[None, :]
    to_text = -(logits.log_softmax(1) * same / same.sum(1, keepdim=True)).sum(1).mean()
    square, same = logits[:, : len(z)].T, same[:, : len(z)]
    to_image = -(square.log_softmax(1) * same / same.sum(1, keepdim=True)).sum(1).mean()
    return 0.6 * to_text + 0.4 * to_image


def encode_text(model, tokens: Tensor) -> Tensor:
    """open_clip's encode_text for token rows that were cut to the longest caption."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length].to(tokens.device)))
    return x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection


class Sampler:
    """Batches drawn by kind (MIXTURE), and within a kind by the square root of each name's frequency."""

    def __init__(self, pairs: list[dict], pixels: np.ndarray, tokenizer, batch: int, rng: torch.Generator) -> None:
        self.pairs, self.pixels, self.tokenizer, self.batch, self.rng = pairs, pixels, tokenizer, batch, rng
        self.others = NAMES
        frequency = Counter((p["kind"], p["key"]) for p in pairs)
        weight = np.array([p["weight"] / math.sqrt(frequency[p["kind"], p["key"]]) for p in pairs])
        kinds = np.array([p["kind"] for p in pairs])
        for kind, share in MIXTURE.items():
            weight[kinds == kind] *= share / weight[kinds == kind].sum()
        self.weight = torch.tensor(weight)
        keys = {key: i for i, key in enumerate(sorted({p["key"] for p in pairs}))}
        self.keys = torch.tensor([keys[p["key"]] for p in pairs])
        self.mono = torch.tensor([p["kind"] in ("icon", "exact", "emoji-line") and not p.get("colour") for p in pairs])
        vocabulary = {p["key"]: p["captions"] for p in pairs if p["kind"] == "emoji"}
        self.names = [(keys[key], captions) for key, captions in sorted(vocabulary.items())]
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W), their captions (B, L) and keys (B,); NAMES emoji names with their keys."""
        chosen = torch.multinomial(self.weight, self.batch, replacement=True, generator=self.rng)
        rgba = torch.from_numpy(self.pixels[chosen.numpy()]).permute(0, 3, 1, 2).float() / 255
        images = (augment(rgba, self.mono[chosen], self.rng) - self.mean) / self.std
        some = torch.randperm(len(self.names), generator=self.rng)[: self.others].tolist()
        captions = [self.caption(self.pairs[i]) for i in chosen.tolist()]
        captions += [self.pick(TEMPLATES).format(self.pick(self.names[i][1])) for i in some]
        tokens, n = self.tokens(captions), len(chosen)
        return images, tokens[:n], self.keys[chosen], tokens[n:], torch.tensor([self.names[i][0] for i in some])

    def tokens(self, captions: list[str]) -> Tensor:
        """(N, LONGEST) token ids; a longer caption is cut before its end token."""
        tokens = self.tokenizer(captions)
        end = tokens.argmax(1).clamp(max=LONGEST - 1)
        tokens[torch.arange(len(tokens)), end] = self.tokenizer.eot_token_id
        return tokens[:, :LONGEST]  # causal: what follows the end token changes nothing

    def caption(self, pair: dict) -> str:
        name = pair["captions"][0] if self.chance(0.6) else self.pick(pair["captions"])
        text = self.pick(TEMPLATES).format(name)
        if pair["keywords"] and self.chance(0.25):
            text += ", " + self.pick(pair["keywords"])
        return text

    def chance(self, p: float) -> bool:
        return torch.rand((), generator=self.rng).item() < p

    def pick(self, choices):
        return choices[int(torch.randint(len(choices), (), generator=self.rng))]


def shortened_bpe(pairs: list[dict], size: int = VOCABULARY) -> str:
    """CLIP's merges, less those that no caption word needs: kept words split exactly as CLIP splits them."""
    full = SimpleTokenizer(context_length=CONTEXT)
    counts: Counter[str] = Counter()
    for pair in pairs:
        weight = 50 if pair["kind"] == "emoji" else 1
        for text in (*pair["captions"], *pair["keywords"]):
            for word in text.lower().split():
                counts[word] += weight
    for template in TEMPLATES:
        counts.update(dict.fromkeys(template.replace("{}", "").replace(".", "").split(), 10**9))
    merges = list(full.bpe_ranks)
    by_token = {"".join(m): m for m in merges}
    encode = bytes_to_unicode()
    kept: set[tuple[str, str]] = set()

    def need(token: str) -> set:
        merge = by_token.get(token)
        return set() if merge is None else {merge} | need(merge[0]) | need(merge[1])

    for word, _ in counts.most_common():
        spelled = "".join(encode[b] for b in word.encode())
        wanted = set().union(*(need(piece) for piece in full.bpe(spelled).split(" "))) - kept
        if len(kept) + len(wanted) > size - 514:
            break
        kept |= wanted
    return "#version: 0.2\n" + "\n".join(" ".join(m) for m in merges if m in kept)


@torch.no_grad()
def zero_shot(model, tokenizer, images: Path, style: str, device: str) -> float:
    """Top-1 over every object glyph's name on one style of the embedded images."""
    model.eval()
    rows = [r for r in pq.read_table(images, filters=[("style", "=", style)]).to_pylist() if r["group"] in CORE]
    rgb = np.stack([np.asarray(Image.open(io.BytesIO(r["image"]))) for r in rows])
    x = (torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(
        STD
    )[:, None, None]
    text = model.encode_text(tokenizer([f"an emoji of a {r['name']}." for r in rows]).to(device), normalize=True)
    z = torch.cat([model.encode_image(chunk.to(device), normalize=True) for chunk in x.split(256)])
    model.train()
    return ((z @ text.T).argmax(1).cpu() == torch.arange(len(rows))).float().mean().item()


def save(model, folder: Path) -> None:
    """Half-precision weights, replacing the file in one step."""
    state = {
        k: v.detach().cpu().contiguous().to(torch.float16 if v.is_floating_point() else v.dtype)
        for k, v in model.state_dict().items()
    }
    save_file(state, folder / "open_clip_model.tmp")
    (folder / "open_clip_model.tmp").replace(folder / "open_clip_model.safetensors")


if __name__ == "__main__":
    assert default_bpe()
    main()
