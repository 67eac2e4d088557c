"""Plain transformers on the CPU: what the engines are compared with, and a backend of its own."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..running.events import Blocked, Events, Failed
from ..smoke.question import Question, Reply
from .imports import versions

if TYPE_CHECKING:
    from ..running.request import Request

DTYPES = ("float32", "bfloat16", "float16", "auto")


class FirstTokenClock:
    """A streamer that only looks at the clock: ``generate`` puts the prompt first, then each token."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.first: Optional[float] = None
        self._puts = 0

    def put(self, _value: Any) -> None:
        """Called with the prompt and then with each token."""
        self._puts += 1
        if self._puts == 2:  # noqa: PLR2004 - the first put is the prompt
            self.first = time.perf_counter() - self.started

    def end(self) -> None:
        """Called when the answer is complete."""


class TransformersEngine:
    """A model and its processor."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)

    def ask(self, question: Question) -> Reply:
        """Answer greedily; scores are looked through for NaN."""
        torch = importlib.import_module("torch")
        prompt, inputs = model_inputs(self.processor, question)
        clock = FirstTokenClock()
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=question.max_new_tokens,
                streamer=clock,
                return_dict_in_generate=True,
                output_scores=True,
            )
        length = int(inputs["input_ids"].shape[1])
        new = output.sequences[0, length:]
        return Reply(
            text=self.tokenizer.decode(new, skip_special_tokens=True),
            prompt_tokens=length,
            new_tokens=int(new.shape[0]),
            first_token_seconds=clock.first,
            nan=any(bool(torch.isnan(scores).any()) for scores in output.scores),
            facts={"prompt": prompt},
        )

    def close(self) -> None:
        """Nothing was started."""


def boot(request: Request, events: Events) -> TransformersEngine:
    """Load the checkpoint; facts: seconds, dtype, parameters.

    Raises:
        Blocked: the architecture is the checkpoint's own code, which this check does not speak.
        ValueError: options.dtype is none of those known.
    """
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    events.fact("versions", versions())
    threads = request.options.get("threads")
    if threads:
        torch.set_num_threads(int(threads))
    architecture = request.model.architecture
    if architecture not in dir(transformers) and request.model.trust_remote_code:
        raise Blocked(f"{architecture} is the checkpoint's own code, which this check does not speak")
    folder = request.model.folder
    started = time.perf_counter()
    kind = getattr(transformers, architecture)
    require_real(kind, architecture)
    usual = "float32" if request.model.quantisation == "none" else "auto"  # packed weights cannot be cast
    model = cast(kind.from_pretrained(folder, local_files_only=True), str(request.options.get("dtype", usual)))
    processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
    events.fact(
        "boot",
        {
            "load_seconds": round(time.perf_counter() - started, 3),
            "backend": "transformers",
            "device": str(model.device),
            "dtype": str(model.dtype).replace("torch.", ""),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "threads": torch.get_num_threads(),
            "processor": type(processor).__name__,
        },
    )
    return TransformersEngine(model, processor)


def cast(model: Any, dtype: str) -> Any:
    """The model in the dtype asked for, ready to answer.

    Loading and then casting gives the same arithmetic in every version: transformers 4 loads float32 unless told
    otherwise, 5 loads what the checkpoint holds, and the keyword that tells them changed its name.

    Raises:
        ValueError: the dtype is none of :data:`DTYPES`.
    """
    if dtype not in DTYPES:
        raise ValueError(f"options.dtype is {dtype!r}; one of: {', '.join(DTYPES)}")
    model = model.eval()
    return model if dtype == "auto" else model.to(getattr(importlib.import_module("torch"), dtype))


def model_inputs(processor: Any, question: Question) -> "tuple[str, Dict[str, Any]]":
    """The prompt's text and the tensors made of it and of the image."""
    parts: List[Dict[str, str]] = [{"type": "image"}] if question.image is not None else []
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": question.text}]}]
    owner = processor if getattr(processor, "chat_template", None) else getattr(processor, "tokenizer", processor)
    prompt = owner.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    images = {} if question.image is None else {"images": [question.image]}
    return prompt, dict(processor(text=[prompt], return_tensors="pt", **images))


def model_class(request: Request, events: Events) -> None:
    """Resolve the model's class and its processor in transformers, with every lazy module on the way loaded."""
    with events.answering("import") as answer:
        transformers = importlib.import_module("transformers")
        events.fact("versions", versions())
        architecture = request.model.architecture
        if not knows(transformers, architecture):
            own_code = remote_class(request)
            if own_code is not None:
                answer.message = own_code
                return
        model = getattr(transformers, architecture)  # forces the lazy modules; the error is the answer
        require_real(model, architecture)
        events.fact("model_class", f"{model.__module__}.{model.__qualname__}")
        require_real(transformers.AutoProcessor, "AutoProcessor")
        events.fact("processor", processor_facts(request.model.model_type))


def knows(package: Any, name: str) -> bool:
    """Whether a lazy package knows the name, without loading the module that defines it."""
    return name in dir(package)


def require_real(found: Any, name: str) -> None:
    """Refuse the place-holder class that transformers puts where a package is missing.

    Raises:
        Failed: the class is such a place-holder.
    """
    module = str(getattr(found, "__module__", ""))
    if ".dummy_" in module:
        needs = ", ".join(getattr(found, "_backends", [])) or "a package that is not installed"
        raise Failed(f"transformers has only a place-holder for {name}: it needs {needs}", "missing-dependency")


def remote_class(request: Request) -> Optional[str]:
    """What to say of an architecture that transformers does not have and the checkpoint's own code may define.

    Raises:
        Blocked: the model brings code, and it is not on this machine.
    """
    configuration = request.model.configuration
    mapping = auto_map(configuration)
    if not (request.model.trust_remote_code or mapping):
        return None
    sources = [value for value in mapping.values() if request.model.architecture in str(value)]
    files = [str(source).rpartition("--")[2].split(".")[0] + ".py" for source in sources]
    if configuration is None or not files or not Path(configuration, files[0]).is_file():
        raise Blocked(
            f"{request.model.architecture} is defined by the checkpoint's own code, which is not on this machine",
            "weights-missing-or-corrupt",
        )
    dynamic = importlib.import_module("transformers.dynamic_module_utils")
    dynamic.get_class_from_dynamic_module(str(sources[0]), configuration)
    return f"defined by the checkpoint's own {files[0]}"


def auto_map(folder: Optional[str]) -> Dict[str, Any]:
    """The ``auto_map`` of a checkpoint's configuration, empty where there is none."""
    if folder is None or not Path(folder, "config.json").is_file():
        return {}
    found = json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get("auto_map") or {}
    return dict(found) if isinstance(found, dict) else {}


def processor_facts(model_type: str) -> Dict[str, str]:
    """The classes that the automatic ones choose for this model type, each really loaded.

    Raises:
        Failed: one of them is a place-holder for a missing package.
    """
    transformers = importlib.import_module("transformers")
    facts: Dict[str, str] = {}
    configurations = importlib.import_module("transformers.models.auto.configuration_auto")
    names = getattr(configurations, "CONFIG_MAPPING_NAMES", {})
    if model_type in names:
        found = configurations.CONFIG_MAPPING[model_type]
        facts["configuration"] = f"{found.__module__}.{found.__qualname__}"
    processors = importlib.import_module("transformers.models.auto.processing_auto")
    name = getattr(processors, "PROCESSOR_MAPPING_NAMES", {}).get(model_type)
    if isinstance(name, str):
        chosen = getattr(transformers, name)
        require_real(chosen, name)
        facts["processor"] = f"{chosen.__module__}.{chosen.__qualname__}"
    return facts
