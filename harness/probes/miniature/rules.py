"""How a configuration is shrunk: one rule for each kind of key, with its reason.

A key that no rule names is kept as published, whatever it means.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

KEY_VALUE_HEADS = 2
LATENT_HEADS = 4
LARGEST_RATIO = 8
BLOCK = 128
VOCABULARY = 1024
PATCHES = 8


class Rule(NamedTuple):
    """What becomes of some keys."""

    name: str
    keys: Tuple[str, ...]
    """The names that architectures give the same thing."""
    becomes: str
    why: str


RULES = (
    Rule(
        "heads",
        (
            "num_attention_heads",
            "num_heads",
            "n_head",
            "n_heads",
            "attention_heads",
            "encoder_attention_heads",
            "vt_num_attention_heads",
        ),
        "key-value heads times the published ratio, at most 8",
        "the ratio decides which key a query meets; kernels take up to 16 queries a key in one block",
    ),
    Rule(
        "key_value_heads",
        ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
        "2, or 1 where published so; 4 with latent attention",
        "with one head a wrong index of a head cannot show",
    ),
    Rule(
        "output_groups",
        ("o_groups",),
        "2, with the published number of heads in each",
        "heads are projected group by group",
    ),
    Rule(
        "width",
        ("hidden_size", "n_embd", "d_model"),
        "heads times the size of a head where published so, else 256 or 384",
        "multiples of 128 are whole blocks for the kernels of every quantisation",
    ),
    Rule(
        "tower_width",
        ("embed_dim", "hidden_size", "d_model", "width", "vt_hidden_size"),
        "2 heads of the published size",
        "kernels of vision towers know few sizes of a head",
    ),
    Rule(
        "inner",
        ("intermediate_size", "ffn_hidden_size", "encoder_ffn_dim", "ffn_dim", "n_inner", "vt_intermediate_size"),
        "the least multiple of 128 above 256; as wide as the model where published so; in a tower the published ratio",
        "a square matrix can be loaded transposed and nothing says so",
    ),
    Rule(
        "expert_inner",
        ("moe_intermediate_size", "expert_hidden_dim", "expert_intermediate_size"),
        "a multiple of 64 that makes neither an expert's matrix nor the joined gate and up projections square",
        "transformers 5 loads square expert matrices untransposed and says nothing",
    ),
    Rule(
        "shared_inner",
        ("shared_expert_intermediate_size", "intermediate_size_mlp"),
        "a multiple of 128 of its own, 0 where published so",
        "as for the experts",
    ),
    Rule(
        "experts",
        ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
        "at least 8, twice those chosen for a token and 4 in each group; a power of two only where published so",
        "routing must leave experts out, in a group as well as over all; kernels pad to powers of two",
    ),
    Rule(
        "layers",
        (
            "num_hidden_layers",
            "num_layers",
            "n_layer",
            "n_layers",
            "depth",
            "encoder_layers",
            "vt_num_hidden_layers",
        ),
        "2, 3 in a tower, or as many as it takes to have each kind of layer in the published order",
        "layer types, windows and dense or sparse layers follow patterns over the layers",
    ),
    Rule(
        "last_layers",
        ("num_global_layers",),
        "2",
        "a second stack over the tower's output",
    ),
    Rule(
        "linear_heads",
        ("linear_num_key_heads",),
        "2",
        "as for attention heads",
    ),
    Rule(
        "linear_value_heads",
        ("linear_num_value_heads",),
        "the published ratio to key heads",
        "as for attention heads",
    ),
    Rule(
        "dense_first",
        ("first_k_dense_replace", "num_dense_layers", "num_hash_layers"),
        "1",
        "one layer shows where the others begin",
    ),
    Rule(
        "window_layers",
        ("max_window_layers",),
        "the number of layers where it was, else 1",
        "it says from which layer on a window is used",
    ),
    Rule(
        "vocabulary",
        ("vocab_size", "padded_vocab_size", "vocab_size_per_layer_input"),
        "1024; ids of special tokens move below it, ids behind it stay as far behind",
        "bytes, the model's own special tokens and some words need no more",
    ),
    Rule(
        "base_width",
        ("dim_model_base",),
        "the published ratio to the width",
        "MiniCPM divides its logits by that ratio",
    ),
    Rule(
        "image",
        ("image_size", "img_size"),
        "8 patches a side",
        "position tables and the number of image tokens grow with its square",
    ),
    Rule(
        "image_tokens",
        ("mm_tokens_per_image", "image_seq_length", "image_grid_pinpoints"),
        "as many times fewer as there are patches",
        "they are what is left of the patches after pooling",
    ),
    Rule(
        "joint",
        (
            "hidden_size",
            "out_hidden_size",
            "text_hidden_size",
            "thinker_hidden_size",
            "output_dim",
            "mm_hidden_size",
            "projection_hidden_size",
            "llm_hidden_size",
        ),
        "the width that it is of, where published so",
        "what joins two parts has the size of both",
    ),
    Rule(
        "projection",
        ("projector_input_dim", "projector_output_dim", "vision_output_dim"),
        "256, or the published multiple of the tower's width",
        "sizes between a tower and the language model",
    ),
    Rule(
        "decoder",
        ("decoder_dim",),
        "128",
        "Qwen3-Omni's speech decoder halves it four times; LMDeploy loads the thinker alone",
    ),
    Rule(
        "dropped",
        ("quantization_config", "auto_map", "_name_or_path"),
        "left out",
        "weights are made unquantised, and run without code of the checkpoint's own",
    ),
)

READ = {
    "head_size": ("head_dim", "kv_channels", "attention_head_dim"),
    "latent": ("kv_lora_rank",),
    "chosen": ("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_topk"),
    "groups": ("n_group", "num_expert_group"),
    "more_layers": ("num_nextn_predict_layers",),
    "period": (
        "full_attention_interval",
        "sliding_window_pattern",
        "no_rope_layer_interval",
        "interleave_moe_layer_step",
        "decoder_sparse_step",
        "moe_layer_freq",
    ),
    "fed_layers": ("deepstack_visual_indexes",),
    "patch": ("patch_size",),
}
"""Keys that are kept and decide what becomes of others."""

KEYS: Dict[str, Tuple[str, ...]] = {**{rule.name: rule.keys for rule in RULES}, **READ}
