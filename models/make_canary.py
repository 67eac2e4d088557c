"""Make the canary: train a three-million-parameter Qwen2-VL to name the colours of four quadrants, or check one.

    python models/make_canary.py --out models/canary
    python models/make_canary.py --check models/canary

Needs torch, torchvision, transformers, safetensors and Pillow (made with transformers 4.57; any since 4.45 can check);
no GPU and no network.
"""
# ruff: noqa: PLC0415 - --help answers without torch

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """The command line."""
    description = "Train the canary, or check one on images that training never showed."
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--check", type=Path, metavar="FOLDER", help="check the checkpoint in FOLDER; train nothing")
    result.add_argument("--seed", type=int, default=0, help="seed of weights, samples and split (default: %(default)s)")
    train = result.add_argument_group("training")
    train.add_argument("--out", type=Path, default=Path(__file__).with_name("canary"), help="folder to write to")
    train.add_argument("--steps", type=int, default=500, help="training steps (default: %(default)s)")
    train.add_argument("--rate", type=float, default=1e-3, help="highest learning rate (default: %(default)s)")
    train.add_argument("--device", default="cpu", help="torch device (default: %(default)s)")
    train.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's choice (default: 0)")
    check = result.add_argument_group("checking")
    check.add_argument("--images", type=int, default=100, help="held-out images, at most 512 (default: %(default)s)")
    check.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16", help="arithmetic")
    check.add_argument("--record", action="store_true", help="keep the outcome in FOLDER/CHECKS.json")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Train or check; 0 when every held-out answer is right, 1 when one is wrong, 2 when nothing could be done."""
    options = parser().parse_args(arguments)
    try:
        return check(options) if options.check is not None else make(options)
    except ModuleNotFoundError as error:
        print(f"error: {error}; install torch, torchvision, transformers, safetensors and Pillow", file=sys.stderr)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def make(options: argparse.Namespace) -> int:
    """Train and write a checkpoint."""
    import canary_training

    choice = canary_training.Options(options.steps, options.rate, options.seed, options.device, options.threads)
    return 0 if canary_training.make(options.out, choice) else 1


def check(options: argparse.Namespace) -> int:
    """Check a checkpoint."""
    import canary_check

    tallies = canary_check.check(options.check, options.dtype, options.images, options.seed)
    if options.record:
        canary_check.record(options.check, options.dtype, tallies)
    return 0 if all(tally.right == tally.asked for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
