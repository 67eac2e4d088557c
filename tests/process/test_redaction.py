"""Secrets stay out of what is kept, and out of children."""

from __future__ import annotations

import pytest

from harness.environments.uv_settings import installer_variables
from harness.process import redaction


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnopqrstuvwx",
        "https://user:hunter2hunter2@index.example.org/simple",
        "Authorization: Bearer abcdef0123456789",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "{'api_key': 'f00dfeedf00dfeed'}",
        "password: correct-horse-battery",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_credentials_are_masked_and_the_rest_stays(text: str) -> None:
    clean = redaction.redact(f"before {text} after")
    assert redaction.MASK in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    for secret in ("hunter2", "abcdefghijklmnop", "wJalr", "IOSFODNN7", "f00dfeed", "correct-horse", "dozjg", "MIIE"):
        assert secret not in clean


@pytest.mark.parametrize(
    "text",
    [
        "ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils'",
        "tokenizer: Qwen2Tokenizer, tokens=281, token id 151643",
        "AttributeError: 'Qwen2VLProcessor' object has no attribute 'image_token'",
        "see https://github.com/InternLM/lmdeploy/issues/3394 for details",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redaction.redact(text) == text


def test_children_do_not_see_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwx")
    monkeypatch.setenv("UV_INDEX_URL", "https://user:password@index.example.org")
    monkeypatch.setenv("NCCL_NVLS_ENABLE", "0")
    environment = redaction.child_environment(home="/h", scratch="/s")
    assert environment["NCCL_NVLS_ENABLE"] == "0"
    assert "NCCL_NVLS_ENABLE" not in redaction.child_environment(home="/h", scratch="/s", gpu=False)
    assert "HF_TOKEN" not in environment
    assert "UV_INDEX_URL" not in environment
    assert environment["HOME"] == "/h"
    assert "HF_TOKEN" not in installer_variables()
    assert "UV_INDEX_URL" in installer_variables()
