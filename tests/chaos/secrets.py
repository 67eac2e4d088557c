"""Planted secrets: printed, raised, in argv, in the environment and in files; none may be written down."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from harness.process.redaction import redact
from tests.chaos.ground import orphans
from tests.chaos.processes import MATRIX
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    import random

    from tests.chaos.registry import Setting, Tally

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_SHAPES = (
    # text with {} where the secret stands, secret's own beginning, its length
    ("HF_TOKEN={}", "hf_", 34),
    ("huggingface_hub: using {} for the request", "hf_", 34),
    ("error for https://user:{}@index.example.org/simple/", "", 20),
    ("https://{}@index.example.org/simple/torch", "", 24),
    ("fetching https://oauth2:p@{}@host.example/x.git", "", 16),
    ("AWS_SECRET_ACCESS_KEY={}", "", 40),
    ("aws_access_key_id = {}", "AKIA", 16),
    ("DefaultEndpointsProtocol=https;AccountKey={};EndpointSuffix=x", "", 64),
    ("Authorization: Bearer {}", "", 40),
    ("Authorization: token {}", "ghp_", 36),
    ("pushed with {}", "github_pat_", 60),
    ("cloned with {}", "glpat-", 20),
    ("{{'api_key': '{}'}}", "", 32),
    ('"x-api-key": "{}"', "", 32),
    ("argv: ['serve', '--api-key', ...] --api-key {} --port 1", "", 24),
    ("uv --token {} publish", "", 30),
    ("openai: {}", "sk-", 48),
    ("stripe {}", "sk_live_", 24),
    ("ngc {}", "nvapi-", 64),
    ("npm {}", "npm_", 36),
    ("key {}", "AIza", 35),
    ("slack xoxb says {}", "xoxb-", 30),
    ("wandb login: WANDB_API_KEY={}", "", 40),
    ("machine example.org login me password {}", "", 20),
    ("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", "MII", 120),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", "b3B", 120),
)


def planted(chance: random.Random) -> list[tuple[str, str]]:
    """Texts and the secrets in them."""
    found = []
    for text, beginning, length in _SHAPES:
        letters = LETTERS.upper() if beginning == "AKIA" else LETTERS
        secret = beginning + "".join(chance.choice(letters) for _ in range(length))
        found.append((text.format(secret), secret))
    secret = "".join(chance.choice(LETTERS) for _ in range(20))
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    return [*found, (f"Proxy-Authorization: Basic {basic}", basic)]


@fault("secrets", "shapes", "tokens, keys and passwords of 27 shapes in text that is about to be written down")
def shapes(setting: Setting, tally: Tally) -> None:
    """What stands around them stays readable."""
    for _ in range(setting.times(40, 4)):
        for text, secret in planted(setting.random):
            with tally.injection(text.replace(secret, "…")[:60]):
                clean = redact(f"before\n{text}")
                tally.leaked += secret in clean
                expect(secret not in clean, "it came through")
                expect(clean.startswith("before"), "what stood before it is gone")


@fault("secrets", "everywhere", "a package prints the corpus, raises it and chains it, at the edge of the kept log too")
def everywhere(setting: Setting, tally: Tally) -> None:
    """Searched for in every file of the reports and the working folder, and in what the harness printed."""
    ground = setting.ground
    for number in range(setting.times(3, 1)):
        corpus = planted(setting.random)
        known = "".join(setting.random.choice(LETTERS) for _ in range(24))
        texts = [text for text, _ in corpus]
        code = f"""
texts = {texts!r}
for each in texts:
    print(each)
filler = "x" * 97
for round in range(400):
    for each in texts:
        print(filler[:round % 97], each)
try:
    raise ValueError(texts[0] + " known {known}")
except ValueError as error:
    raise RuntimeError("\\n".join(texts)) from error
"""
        # the code is a file of the environment, so it is not looked for there
        version = ground.lmdeploy(f"4.{number}", code)
        project = ground.project(MATRIX.format(version=version, idle=30, wall=60))
        with tally.injection(f"corpus {number}"):
            ground.extra["CHAOS_API_KEY"] = known
            try:
                ended = ground.harness(project, "run", "-v")
                shown = ground.harness(project, "run", "--format", "json")
            finally:
                del ground.extra["CHAOS_API_KEY"]
            tally.tracebacks += ended.traceback
            written = [ended.out.encode(), ended.err.encode(), shown.out.encode(), shown.err.encode()]
            written += [
                each.read_bytes()
                for each in project.root.rglob("*")
                if each.is_file() and "environments" not in each.parts
            ]
            secrets = [secret for _, secret in corpus] + [known]
            shown_by = dict(zip(secrets, [*_SHAPES, ("basic",), ("of the environment",)], strict=True))
            out = {shown_by[secret][0] for secret in secrets for content in written if secret.encode() in content}
            tally.leaked += len(out)
            expect(not out, f"came out: {sorted(out)}")
            expect(len(ground.records(project)) == 1, "there is no record")
        ground.clear(project)
    tally.orphans += orphans()
