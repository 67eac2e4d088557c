"""The engine's own way from an image and a message to model input, without the engine.

Chat template, vision preprocessor and the glue between them are lmdeploy's; only the engine behind them is left out, so
nothing needs a GPU. Prompt ids are compared with those that transformers' own processor makes.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import io
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ..running.events import Events, Failed, summary
from ..smoke.question import Question, smoke_image
from . import gpu_stand_ins
from .imports import exists
from .model_folder import chat_template, named_folder, takes, wanted_checkpoint
from .transformers import model_inputs

if TYPE_CHECKING:
    from ..running.request import Request

Prepare = Callable[[List[Dict[str, Any]]], Dict[str, Any]]
"""Messages in OpenAI's form to what the engine would be given: prompt, ids and multimodal items."""

THINKER = "thinker_config"
"""Where Qwen3-Omni's configuration keeps that of the part which lmdeploy has."""
PIXELS = ("pixel_values", "feature", "data")
"""Names under which versions keep an image's pixels."""


def image_and_prompt(request: Request, events: Events) -> None:
    """Prepare the image question and a text-only one; facts: ids, image tokens, pixel shape, prompts, comparison."""
    with events.answering("preprocess") as answer:
        wanted_checkpoint(request)
        smoke = request.model.smoke
        image = smoke_image(smoke["image"])
        stand_ins = gpu_stand_ins.install(triton=False)  # up to 0.10 the preprocessor asks for free GPU memory
        events.fact("stand_ins", stand_ins)
        folder = named_folder(request, events)
        prepare = preparation(folder, request)
        text = smoke["structure"]["prompt"].replace("{answer}", str(smoke["see"]["expected"]))
        questions = {"text_prompt": Question(text, 0)}
        if image is not None:
            questions = {"image_prompt": Question(smoke["see"]["prompt"], 0, image), **questions}
        prepared: Dict[str, Dict[str, Any]] = {}
        for name, question in questions.items():
            prepared[name] = described(prepare(messages(question)), image_token_id(folder))
            events.fact(name, prepared[name])
        compared = comparison(folder, questions, prepared)
        events.fact("compared_with_transformers", compared)
        judge(prepared, compared)
        answer.message = warning(compared)


def preparation(folder: str, request: Request) -> Prepare:
    """This version's own preparation of messages, for the pytorch engine.

    Others get the same ids; the vision features that are computed on top need the GPU.
    """
    tokenizer_class = importlib.import_module("lmdeploy.tokenizer").Tokenizer
    trusted = {"trust_remote_code": request.model.trust_remote_code}
    tokenizer = tokenizer_class(folder, **(trusted if takes(tokenizer_class, "trust_remote_code") else {}))
    template = chat_template(folder, request)
    if request.model.smoke["image"] is None:
        return text_preparation(tokenizer, template)
    encoder_class = importlib.import_module("lmdeploy.vl.engine").ImageEncoder
    settings = importlib.import_module("lmdeploy").PytorchEngineConfig(dtype="float16")
    encoder = encoder_class(
        folder,
        "pytorch",
        backend_config=settings,
        **(trusted if takes(encoder_class, "trust_remote_code") else {}),
    )
    if exists("lmdeploy.serve.processors"):
        return newer_preparation(tokenizer, template, encoder)
    return older_preparation(tokenizer, template, encoder)


def text_preparation(tokenizer: Any, template: Any) -> Prepare:
    """Of a model that sees nothing: the engine class that is taken for it, without an encoder of images."""
    if exists("lmdeploy.serve.processors"):
        return newer_preparation(tokenizer, template, None)
    kind = importlib.import_module("lmdeploy.serve.async_engine").AsyncEngine
    bare = kind.__new__(kind)
    bare.tokenizer, bare.chat_template = tokenizer, template

    def prepare(asked: List[Dict[str, Any]]) -> Dict[str, Any]:
        return dict(asyncio.run(bare._get_prompt_input(asked, True, True, None)))  # noqa: SLF001 - the only way in

    return prepare


def newer_preparation(tokenizer: Any, template: Any, encoder: Any) -> Prepare:
    """From 0.12: a processor class of its own."""
    kind = importlib.import_module("lmdeploy.serve.processors").MultimodalProcessor
    processor = kind(tokenizer, template, vl_encoder=encoder, backend="pytorch")
    function = processor.get_prompt_input

    def prepare(asked: List[Dict[str, Any]]) -> Dict[str, Any]:
        known = {"do_preprocess": True, "sequence_start": True, "adapter_name": None}
        keywords = {name: value for name, value in known.items() if takes(function, name)}
        return dict(asyncio.run(function(asked, **keywords)))

    return prepare


def older_preparation(tokenizer: Any, template: Any, encoder: Any) -> Prepare:
    """Up to 0.11: methods of the engine class; an instance without an engine behind it is enough for them."""
    kind = importlib.import_module("lmdeploy.serve.vl_async_engine").VLAsyncEngine
    bare = kind.__new__(kind)
    bare.tokenizer, bare.chat_template, bare.vl_encoder, bare.backend = tokenizer, template, encoder, "pytorch"

    def prepare(asked: List[Dict[str, Any]]) -> Dict[str, Any]:
        return dict(asyncio.run(bare._get_prompt_input(asked, True, True, None)))  # noqa: SLF001 - the only way in

    return prepare


def messages(question: Question) -> List[Dict[str, Any]]:
    """The question in OpenAI's form: the image part first, as a data URL; text alone is a plain string."""
    if question.image is None:
        return [{"role": "user", "content": question.text}]
    content = [
        {"type": "image_url", "image_url": {"url": data_url(question.image)}},
        {"type": "text", "text": question.text},
    ]
    return [{"role": "user", "content": content}]


def data_url(image: Any) -> str:
    """The image as a PNG in a data URL (lossless, and no network)."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def image_token_id(folder: str) -> Optional[int]:
    """The id that stands for an image in the model's configuration."""
    configuration = importlib.import_module("transformers").AutoConfig.from_pretrained(folder, local_files_only=True)
    found = getattr(getattr(configuration, THINKER, configuration), "image_token_id", None)
    return None if found is None else int(found)


def described(prepared: Dict[str, Any], image_token: Optional[int]) -> Dict[str, Any]:
    """What the engine would be given, in facts.

    Some versions put another id (0) where the image goes and tell the number of image tokens beside it.
    """
    ids = [int(number) for number in prepared["input_ids"]]
    items = prepared.get("multimodal") or []
    told = [read(item, "image_tokens") for item in items]
    tokens = sum(int(number) for number in told if number is not None)
    by_id = ids.count(image_token) if image_token is not None else 0
    pixels = [found for item in items if (found := first_of(item, PIXELS)) is not None]
    return {
        "prompt": prepared.get("prompt"),
        "ids_count": len(ids),
        "ids": ids,
        "images": len(items),
        "image_tokens": tokens or by_id,
        "image_tokens_by_id": by_id,
        "pixel_shape": [list(found.shape) for found in pixels if hasattr(found, "shape")],
    }


def read(item: Any, name: str) -> Any:
    """A value of a mapping or of an object, None where it has none."""
    return item.get(name) if hasattr(item, "get") else getattr(item, name, None)


def first_of(item: Any, names: "tuple[str, ...]") -> Any:
    """The first of the named values that the item has."""
    return next((found for name in names if (found := read(item, name)) is not None), None)


def comparison(folder: str, questions: Dict[str, Question], ours: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
    """The same questions through transformers' own processor: equal ids, and where they first differ."""
    try:
        processor = importlib.import_module("transformers").AutoProcessor.from_pretrained(folder, local_files_only=True)
        image_token = image_token_id(folder)
        compared: Dict[str, Any] = {"processor": type(processor).__name__}
        for name, question in questions.items():
            prompt, inputs = model_inputs(processor, question)
            theirs = [int(number) for number in inputs["input_ids"][0]]
            mine = ours[name]["ids"]
            pairs = enumerate(zip(mine, theirs))  # noqa: B905 - up to the shorter one
            unequal = next((place for place, (left, right) in pairs if left != right), min(len(mine), len(theirs)))
            compared[name] = {
                "same_ids": mine == theirs,
                "first_difference": None if mine == theirs else unequal,
                "ids_count": len(theirs),
                "image_tokens": theirs.count(image_token) if image_token is not None else None,
                "prompt": prompt,
            }
    except Exception as error:  # the comparison is a fact; what the engine prepared stands without it
        return {"not_compared": summary(error)}
    return compared


def judge(prepared: Dict[str, Dict[str, Any]], compared: Dict[str, Any]) -> None:
    """Fail what cannot give a right answer.

    Raises:
        Failed: no prompt, no image tokens, or another number of them than transformers makes.
    """
    for name, found in prepared.items():
        if not found["ids_count"] or found["prompt"] in (None, ""):
            kind = "image" if name == "image_prompt" else "text-only"
            raise Failed(f"the {kind} message gave no prompt", "tokenizer-processor-drift")
    seen = prepared.get("image_prompt")
    if seen is None:
        return
    if not seen["image_tokens"] or not seen["pixel_shape"]:
        raise Failed("the image left no tokens or no pixels in the prompt", "tokenizer-processor-drift")
    theirs = compared.get("image_prompt", {}).get("image_tokens")
    if theirs is not None and theirs != seen["image_tokens"]:
        raise Failed(
            f"{seen['image_tokens']} image tokens where transformers makes {theirs}", "tokenizer-processor-drift"
        )


def warning(compared: Dict[str, Any]) -> str:
    """What differs from transformers without being a failure."""
    if "not_compared" in compared:
        return f"not compared with transformers: {compared['not_compared']}"
    names = [name for name in ("image_prompt", "text_prompt") if not compared[name]["same_ids"]]
    return f"prompt ids differ from transformers' in {', '.join(names)}" if names else ""
