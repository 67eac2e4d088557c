"""One request on its way through the emulated model: ids, image and positions as this version keeps them.

Up to 0.11 the model itself works mrope positions out and keeps a note of them between steps; from 0.12 on the
scheduler's sequence object does.
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from .model import BLOCKS
from .stand_ins import Assumed

if TYPE_CHECKING:
    from .model import EmulatedModel

SLOT = 1
"""Of the states that the sequence uses."""


class Sequence:
    """One request on its way through the model: token ids, image, positions, step by step."""

    def __init__(self, emulated: EmulatedModel, ids: List[int], multimodals: Any) -> None:
        """Begin one.

        Args:
            emulated: the model.
            ids: of the prompt.
            multimodals: its image, as the model's input processor left it; None for text only.
        """
        self.torch = emulated.torch
        self.emulated = emulated
        self.kind = importlib.import_module("lmdeploy.pytorch.model_inputs").ModelInputs
        self.names = {item.name for item in fields(self.kind)}
        self.metas: Any = [None]
        self.length = 0
        scheduled = "mrope_pos_ids" in self.names and emulated.configuration.use_mrope
        self.history = history(emulated, ids, multimodals) if scheduled else None
        self.ids = ids
        self.multimodals = multimodals
        self.slot = self.torch.tensor([SLOT])
        emulated.begin(self.slot)

    def prefill(self) -> Any:
        """Logits of every position of the prompt."""
        return self._step(self.ids, is_decoding=False)

    def decode(self, token: int) -> Any:
        """Logits after one more token."""
        if self.history is not None:
            mode = importlib.import_module("lmdeploy.pytorch.messages").UpdateTokenMode
            np = importlib.import_module("numpy")
            self.history.update_token_ids(
                np.array([token]), mode=mode.PREFILL if self.length == len(self.ids) else mode.DECODE
            )
        return self._step([token], is_decoding=True)

    def _step(self, ids: List[int], *, is_decoding: bool) -> Any:
        torch = self.torch
        count = len(ids)
        total = self.length + count
        wanted: Dict[str, Any] = {
            "input_ids": torch.tensor([ids]),
            "seq_length": torch.tensor([count]),
            "history_lengths": torch.tensor([self.length]),
            "block_offsets": torch.arange(BLOCKS, dtype=torch.int32)[None],
            "is_decoding": is_decoding,
            "num_ignored_history": torch.tensor([0]),
            "max_q_seqlen": count,
            "max_kv_seqlen": total,
            "sum_kv_seqlen": total,
            "vision_inputs": None if is_decoding else self._vision(),
            "model_metas": self.metas,
            "state_offsets": self.slot if getattr(self.emulated.configuration, "states_shapes", None) else None,
        }
        if self.history is not None:
            wanted["mrope_pos_ids"] = torch.as_tensor(self.history.mrope_pos_ids).T
        inputs = self.kind(**{name: value for name, value in wanted.items() if name in self.names})
        logits, metas = self.emulated.forward(inputs)
        self.metas = metas if metas is not None else self.metas
        self.length = total
        return logits

    def _vision(self) -> Any:
        if not self.multimodals:
            return None
        kind = importlib.import_module("lmdeploy.pytorch.model_inputs").VisionModelInputs
        return kind(history_lengths=self.torch.tensor([0]), input_multimodals=[self.multimodals])


def history(emulated: EmulatedModel, ids: List[int], multimodals: Any) -> Any:
    """The scheduler's own sequence object, which keeps mrope positions in newer versions."""
    messages = importlib.import_module("lmdeploy.pytorch.messages")
    np = importlib.import_module("numpy")
    strategies = importlib.import_module("lmdeploy.pytorch.strategies")
    factory = strategies.build_strategy_factory(emulated.configuration, None)
    strategy = factory.build_sequence_strategy()
    meta = messages.SequenceMeta(
        emulated.cache_configuration.block_size, strategy=strategy, use_mrope=emulated.configuration.use_mrope
    )
    scheduler = Assumed(cache_config=emulated.cache_configuration)
    session = Assumed(session_id=0, seq_meta=meta, scheduler=scheduler)
    sequence = strategy.make_sequence(0, session, sampling_param=messages.SamplingParam())
    sequence.update_token_ids(np.array(ids), multimodals=multimodals, mode=messages.UpdateTokenMode.INPUTS)
    return sequence


def multimodals_of(emulated: EmulatedModel, ids: List[int], items: Optional[List[Any]]) -> Tuple[List[int], Any]:
    """Ids and image as the model's own input processor turns them into the scheduler's input."""
    if not items:
        return ids, None
    processor = emulated.model.get_input_processor()
    result = processor.preprocess_input(ids, items)
    return list(result.input_ids), result.input_multimodals
