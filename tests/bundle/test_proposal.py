"""What a bundle does without, unless it is told otherwise."""

from __future__ import annotations

from harness.bundle.proposal import left_out, sizes, trimmed


def test_a_package_travels_where_one_of_the_models_loads_it() -> None:
    assert {"tilelang", "z3-solver", "rdkit", "av", "ray", "openai-harmony"} <= set(left_out({"LlamaForCausalLM"}))
    some = left_out({"LlamaForCausalLM", "Qwen3NextForCausalLM", "GptOssForCausalLM"})
    assert {"tilelang", "z3-solver", "openai-harmony"}.isdisjoint(some)
    assert "rdkit" in some
    assert "ray" not in left_out({"LlamaForCausalLM"}, several_cards=True)


def test_turbomind_s_libraries_travel_where_it_boots() -> None:
    assert trimmed({"pytorch", "turbomind"}) == {"lmdeploy": ("*.a",)}
    assert "*/_turbomind*.so" in trimmed({"pytorch"})["lmdeploy"]


def test_the_wheels_that_make_the_size_are_told_and_no_more() -> None:
    assert sizes({"a": 900, "b": 50, "c": 30, "d": 20}) == [("a", 900), ("b", 50), ("c", 30)]
    assert sizes({"a": 1}) == [("a", 1)]
    assert sizes({}) == []
