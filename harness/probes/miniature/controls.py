"""Negative controls: each structural choice of a miniature switched off in the reference, and how far logits move.

A choice that moves them no further than rounding does cannot be vouched for by this miniature; it is listed all the
same, so that a verdict does not count for that choice.
"""

from __future__ import annotations

import copy
import re
from contextlib import contextmanager
from typing import Any, Callable, ContextManager, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .reference import Inputs, distance, logits

Section = Dict[str, Any]
SHOWN = 10.0
"""A choice is shown when switching it off moves logits this many times as far as transformers' own float16."""
LOW = -1e4
"""A sink that takes no attention."""
FAR = 10**6
"""A window that no prompt fills."""


class Switch(NamedTuple):
    """A choice that a key of the configuration makes."""

    choice: str
    keys: Tuple[str, ...]
    off: Callable[[Any], Any]
    """The value that switches it off; the given one where there is nothing to switch."""


def to_one(value: Any) -> Any:
    """1 for a factor."""
    return 1.0 if isinstance(value, (int, float)) else value


def doubled(value: Any) -> Any:
    """Twice the number."""
    return 2 * value if isinstance(value, (int, float)) else value


SWITCHES = (
    Switch("rope base", ("rope_theta",), lambda base: 500000.0 if base == 10000 else 10000.0),  # noqa: PLR2004
    Switch("rope base of windows", ("rope_local_base_freq",), lambda base: 50 * base),
    Switch("partial rotary", ("partial_rotary_factor",), to_one),
    Switch("layers without rope", ("no_rope_layers",), lambda layers: [1] * FEW if layers == [] else layers),
    Switch("window", ("sliding_window", "attention_chunk_size"), lambda size: FAR if size else size),
    Switch("windows of the tower", ("fullatt_block_indexes",), lambda _: list(range(FEW))),
    Switch("attention soft cap", ("attn_logit_softcapping",), lambda _: None),
    Switch("final soft cap", ("final_logit_softcapping",), lambda _: None),
    Switch("attention scale", ("query_pre_attn_scalar",), doubled),
    Switch("router scale", ("routed_scaling_factor", "router_scaling_factor"), to_one),
    Switch("normalised expert weights", ("norm_topk_prob",), lambda value: not value),
    Switch("experts for a token", ("num_experts_per_tok",), lambda count: max(1, count // 2)),
    Switch("expert groups", ("topk_group",), lambda count: 1 if count else count),
    Switch("activation", ("hidden_act", "hidden_activation"), lambda name: "relu" if name != "relu" else "silu"),
    Switch("qk norm", ("use_qk_norm",), lambda _: False),
    Switch("embedding scale", ("scale_emb",), to_one),
    Switch("depth scale", ("scale_depth",), doubled),
    Switch("logit scale", ("dim_model_base",), doubled),
    Switch("feature layer", ("vision_feature_layer",), lambda place: place - 1 if isinstance(place, int) else place),
    Switch("features kept", ("vision_feature_select_strategy",), lambda _: "full"),
)
FEW = 6
"""At least as many layers as a miniature's tower, and no more than its language model may have."""

PARTS = (
    ("qk norm", r"\.(?:q|k)_(?:layer)?norm$", "identity"),
    ("latent norm", r"\.(?:q|kv)_a_layernorm$", "identity"),
    ("shared expert", r"\.shared_(?:expert|experts|mlp)\.(?:down_proj|w2)$", "zero"),
    (
        "projector",
        r"(?:multi_modal_projector\.(?:linear_[12]|\w*_linear)|merger\.(?:linear_fc2|mlp\.2|down_proj)|mm_projector\.out_proj|multi_modal_projector)$",
        "zero",
    ),
    ("deepstack", r"(?:deepstack_merger_list|merger_list)\.\d+$", "zero"),
    ("indexer", r"\.indexer\.weights_proj$", "zero"),
)
"""Modules that are a choice: its name, which they are, what they then answer."""

TENSORS = (
    ("attention bias", r"(?:attn|attention)\.\w+\.bias$", 0.0),
    ("expert bias", r"experts\.\w+_bias$", 0.0),
    ("router bias", r"router\.bias$", 0.0),
    ("correction bias", r"e_score_correction_bias$|expert_bias$", 0.0),
    ("sinks", r"sinks?$", LOW),
    ("layer scale", r"lambda_\d$", 1.0),
    ("decay", r"A_log$", -10.0),
    ("vision positions", r"(?:visual|vision).*pos(?:ition)?(?:al)?_?emb\w*(?:\.weight)?$", 0.0),
    ("image newline", r"image_newline$", 0.0),
)
"""Tensors that are a choice, and the value that switches them off."""


def measure(  # noqa: PLR0913, PLR0917 - what a control is made of
    torch: Any, kind: Any, config: Section, model: Any, prompts: Dict[str, Inputs], noise: Dict[str, float]
) -> List[Dict[str, Any]]:
    """Switch every choice off in turn.

    Args:
        torch: the package.
        kind: the model's class.
        config: the miniature's configuration.
        model: the reference, float32.
        prompts: the inputs by name.
        noise: transformers' own typical float16 error by prompt.
    """
    right = {name: logits(torch, model, inputs) for name, inputs in prompts.items()}
    found: List[Dict[str, Any]] = []
    for choice, how, variant in [*configured(kind, config, model), *changed(torch, model)]:
        entry: Dict[str, Any] = {"choice": choice, "how": how}
        try:
            with variant() as asked:
                moved = {name: distance(logits(torch, asked, each), right[name]) for name, each in prompts.items()}
        except Exception as error:  # the class refuses the other choice, so this one cannot be switched off
            entry |= {"times_float16": None, "shown": False, "why": f"{type(error).__name__}: {error}"[:200]}
        else:
            times = max(far["typical"] / noise[name] for name, far in moved.items())
            entry |= {"times_float16": round(times, 1), "shown": times >= SHOWN}
            if times == 0:
                entry["why"] = "no number changes: the class does not read it, or the prompt does not reach it"
        found.append(entry)
    return found


Variant = Tuple[str, str, Callable[[], ContextManager[Any]]]
"""The choice, how it is switched off, and the model without it."""


def configured(kind: Any, config: Section, model: Any) -> Iterator[Variant]:
    """The same weights under configurations with one choice other than published."""
    for path, section in sections(config):
        for choice, key, value in others(section):

            @contextmanager
            def variant(path: str = path, key: str = key, value: Any = value) -> Iterator[Any]:
                yield rebuilt(kind, replaced(config, path, key, value), model)

            yield choice, f"{path}{key}: {value}", variant


def others(section: Section) -> Iterator[Tuple[str, str, Any]]:
    """Choices of one section: the choice, its key, the value that switches it off."""
    for choice, keys, off in SWITCHES:
        for key in keys:
            if section.get(key) is not None and off(section[key]) != section[key]:
                yield choice, key, off(section[key])
    if "sliding_attention" in (section.get("layer_types") or []):
        yield "window", "layer_types", ["full_attention"] * len(section["layer_types"])
    key = "rope_scaling" if section.get("rope_scaling") else "rope_parameters"
    rope = section.get(key)
    if isinstance(rope, dict):
        if rope.get("rope_type", rope.get("type")) not in (None, "default", "mrope"):
            base = {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
            yield "rope kind", key, {"rope_type": "default", **base} if key == "rope_parameters" else None
        if isinstance(rope.get("mrope_section"), list):
            time, *space = rope["mrope_section"]
            fewer = time // 4
            moved = [fewer, *(each + (time - fewer) // len(space) for each in space)]
            yield "mrope sections", key, {**rope, "mrope_section": moved}


def sections(config: Section, path: str = "") -> Iterator[Tuple[str, Section]]:
    """Every section of a configuration with its path; what only speaks is left out, LMDeploy does not load it."""
    yield path, config
    for key, value in config.items():
        if isinstance(value, dict) and key.endswith(("_config", "rope_parameters")) and not SPEAKS.search(key):
            yield from sections(value, f"{path}{key}.")


SPEAKS = re.compile(r"talker|code2wav|audio")


def replaced(config: Section, path: str, key: str, value: Any) -> Section:
    """The configuration with another value at one place."""
    result = section = copy.deepcopy(config)
    for name in path.split(".")[:-1]:
        section = section[name]
    section[key] = value
    return result


def rebuilt(kind: Any, config: Section, model: Any) -> Any:
    """The model's weights under another configuration.

    Raises:
        ValueError: it needs weights that the model lacks.
    """
    configuration = kind.config_class.from_dict(config)
    configuration._attn_implementation = "eager"  # noqa: SLF001 - as the reference; there is no other way to say it
    variant = kind(configuration).eval().float()  # parts of a model take the type that the configuration names
    told = variant.load_state_dict(model.state_dict(), strict=False)
    if told.missing_keys:
        raise ValueError(f"needs other weights: {told.missing_keys[0]}")
    return variant


def changed(torch: Any, model: Any) -> Iterator[Variant]:
    """The model itself with one choice off."""
    for choice, pattern, answer in PARTS:
        modules = [
            module
            for name, module in model.named_modules()
            if re.search(pattern, name) and next(module.parameters(), None) is not None
        ]
        if modules:
            yield choice, f"{answer} for {len(modules)} modules", hooked(torch, model, modules, answer)
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    for choice, pattern, value in TENSORS:
        chosen = {name: torch.full_like(state[name], value) for name in state if re.search(pattern, name)}
        if chosen:
            yield choice, f"{value:g} in {len(chosen)} tensors", overwritten(model, state, chosen)
    turned = turned_experts(state)
    if turned:
        yield "expert order", f"reversed in {len(turned)} tensors", overwritten(model, state, turned)
    head = model.get_output_embeddings() if hasattr(model, "lm_head") else None
    if (
        head is not None
        and sum(tensor is head.weight for _, tensor in model.named_parameters(remove_duplicate=False)) > 1
    ):
        other = head.weight.detach().roll(1, dims=0)
        yield "tied embedding", "a head of its own", hooked(torch, model, [head], "own", other)


def hooked(torch: Any, model: Any, modules: List[Any], answer: str, other: Optional[Any] = None) -> Any:
    """The model whose modules answer with their input, with zeros, or with other weights."""

    def instead(_: Any, given: Any, made: Any) -> Any:
        if answer == "identity":
            return given[0]
        if answer == "own":
            return torch.nn.functional.linear(given[0], other)
        return torch.zeros_like(made)

    @contextmanager
    def variant() -> Iterator[Any]:
        hooks = [module.register_forward_hook(instead) for module in modules]
        try:
            yield model
        finally:
            for hook in hooks:
                hook.remove()

    return variant


def overwritten(model: Any, state: Dict[str, Any], chosen: Dict[str, Any]) -> Any:
    """The model with other values in some tensors."""

    @contextmanager
    def variant() -> Iterator[Any]:
        kept = {name: state[name].clone() for name in chosen}
        try:
            write(state, chosen)
            yield model
        finally:
            write(state, kept)

    return variant


def write(state: Dict[str, Any], values: Dict[str, Any]) -> None:
    """Copy values into tensors."""
    for name, value in values.items():
        state[name].detach().copy_(value)


EXPERT = re.compile(r"(.*[.]experts[.])(\d+)([.].*)")


def turned_experts(state: Dict[str, Any]) -> Dict[str, Any]:
    """The experts in the opposite order, whether they lie in a tensor each or in one."""
    found: Dict[str, Any] = {}
    for name, tensor in state.items():
        one = EXPERT.fullmatch(name)
        if one:
            count = 1 + max(int(each[2]) for each in map(EXPERT.fullmatch, state) if each and each[1] == one[1])
            found[name] = state[f"{one[1]}{count - 1 - int(one[2])}{one[3]}"].clone()
        elif re.search(r"(?<!shared_)experts\.\w+$", name) and tensor.dim() > 1:
            found[name] = tensor.flip(0)
    return found
