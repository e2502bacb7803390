"""What annotations call a model: a transformers model, within an adapter of PEFT or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    LanguageModel = PreTrainedModel | PeftModel
