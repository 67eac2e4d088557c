"""Make a four-bit canary in the on-disk format of GPTQ or AWQ, or check one.

    python models/quantise_canary.py --method gptq --out models/canary-gptq
    python models/quantise_canary.py --method awq --out models/canary-awq
    python models/quantise_canary.py --check models/canary-gptq

The language model's linear layers are quantised (128 inputs to a group); the vision tower, embeddings and norms stay
float16. Needs what make_canary.py needs (transformers 4.52 or later to quantise); no GPU and no network.
"""
# ruff: noqa: PLC0415 - --help answers without torch

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(description="Quantise the canary, or check a quantised one on held-out images.")
    what = result.add_mutually_exclusive_group(required=True)
    what.add_argument("--method", choices=("gptq", "awq"), help="quantise this way")
    what.add_argument("--check", type=Path, metavar="FOLDER", help="check the quantised checkpoint in FOLDER")
    result.add_argument("--seed", type=int, default=0, help="seed of the canary and its split (default: %(default)s)")
    make = result.add_argument_group("quantising")
    make.add_argument("--model", type=Path, default=Path(__file__).with_name("canary"), help="the canary's folder")
    make.add_argument("--out", type=Path, help="folder to write to (default: the canary's, with the method's name)")
    make.add_argument("--calibration", type=int, default=32, metavar="N", help="shown arrangements (default: 32)")
    check = result.add_argument_group("checking")
    check.add_argument("--images", type=int, default=100, help="held-out images, at most 512 (default: %(default)s)")
    check.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="float16", help="arithmetic")
    check.add_argument("--record", action="store_true", help="keep the outcome in FOLDER/CHECKS.json")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Quantise or check; 0 when done and right, 1 when an answer is wrong, 2 when nothing could be done."""
    options = parser().parse_args(arguments)
    try:
        return check(options) if options.check is not None else quantise(options)
    except ModuleNotFoundError as error:
        print(f"error: {error}; install torch, torchvision, transformers, safetensors and Pillow", file=sys.stderr)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def quantise(options: argparse.Namespace) -> int:
    """Write a quantised checkpoint."""
    import canary_quantised

    out = options.out or options.model.with_name(f"canary-{options.method}")
    canary_quantised.make(options.model, out, options.method, options.calibration, options.seed)
    print(f"wrote {out}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Write the packed codes out as plain weights and ask the model that results about held-out images."""
    import canary_check
    import canary_quantised

    with tempfile.TemporaryDirectory(prefix="canary-") as scratch:
        canary_quantised.expand(options.check, Path(scratch))
        tallies = canary_check.check(Path(scratch), options.dtype, options.images, options.seed)
    if options.record:
        canary_check.record(options.check, options.dtype, tallies)
    return 0 if all(tally.right == tally.asked for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
