"""A causal language model: loaded with its dtype stated, its adapter unmerged; pieces -> traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from cqa import quantisation, quiet
from cqa.files import read_json

quiet.libraries()

from peft import PeftModel  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
)

from cqa.conditions import Piece  # noqa: E402
from cqa.errors import DataRefused  # noqa: E402
from cqa.heap import keep_freed_memory  # noqa: E402
from cqa.measures import Trace  # noqa: E402
from cqa.model_ref import Model  # noqa: E402
from cqa.packing import Row, batches_of, rows_of  # noqa: E402
from cqa.surprisal import Head, token_terms  # noqa: E402

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "nf4": torch.bfloat16,
}
_MOST_TOKENS = {"cpu": 1024, "cuda": 65536}
"""Of one pass. On a CPU the states of more would leave the cache, and nothing is won by more."""
_LOGITS = {"cpu": (512, 2**18), "cuda": (4096, 2**26)}
"""Rows and logits that are made at once; on a CPU they stay in the cache."""
_A_PASS = {"cpu": 32, "cuda": 256}
"""What a pass costs beside its tokens, in tokens: calls, and weights that are read once."""
_LONGEST_TREE = {"cpu": 512, "cuda": 4096}
"""Tokens of a row with branches. Its mask is as wide as it is long, and a CPU feels that sooner."""


RECIPE = "cqa.json"
"""In a folder that `cqa train` made: the base model's name and what its weights were held in."""


class HubTokenizer:
    """A transformers tokenizer behind the three things that rendering asks of one."""

    def __init__(self, tokenizer, bos_token_id: int | None = None) -> None:
        """`bos_token_id` is what the model's own configuration says, if anything."""
        self.raw = tokenizer
        candidates = (tokenizer.bos_token_id, bos_token_id, tokenizer.eos_token_id)
        start = next((token for token in candidates if token is not None), None)
        if start is None:
            raise DataRefused(
                "the tokenizer has neither a BOS nor an EOS token, so nothing can start a page",
                next_step="set eos_token in the model's tokenizer_config.json",
            )
        self.start_id: int = start
        self.encode = lru_cache(maxsize=4096)(self._encode)

    def _encode(self, text: str) -> list[int]:
        return self._tokens(text)["input_ids"] if text else []

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of `encode(text)`, the characters [start, end) that it covers."""
        if not text:
            return []
        encoded = self._tokens(text, return_offsets_mapping=True)
        return [(start, end) for start, end in encoded["offset_mapping"]]

    def _tokens(self, text: str, **options):
        # A "<|endoftext|>" that somebody wrote is text, not the end of it.
        return self.raw(text, add_special_tokens=False, split_special_tokens=True, **options)


@dataclass
class LanguageModel:
    """A model on its device, ready to score and to write."""

    name: str
    model: nn.Module
    tokenizer: HubTokenizer
    window: int
    dtype: str
    device: str
    adapter: str | None = None
    tokens_per_pass: int = 4096

    def __post_init__(self) -> None:
        self._body, self._head = _body_and_head(self.model, self.device)

    @cached_property
    def can_share(self) -> bool:
        """Whether this architecture gives the same states where pieces share their beginning.

        It must take positions and a mask of our own. Where a layer sees only a window of the text,
        the mask would be another one, and models that ignore positions would go wrong; so it is
        tried once on a small tree.
        """
        if not _sees_everything(self.model.config):
            return False
        stem = (1, 2, 3, 4, 5, 6, 7) * 4  # ids that every vocabulary has
        pieces = [Piece(stem, (2, 3, 1)), Piece(stem, (3, 1, 2)), Piece(stem[:14], (1, 3))]
        try:
            shared = self._pass(rows_of(pieces, share=True, longest=1024))
        except (TypeError, ValueError, RuntimeError, IndexError):
            return False
        alone = self._pass(rows_of(pieces, share=False, longest=1024))
        tolerance = 0.2 if DTYPES[self.dtype] is torch.bfloat16 else 1e-4
        return all(
            np.allclose(shared[piece].logprob_nats, alone[piece].logprob_nats, atol=tolerance)
            for piece in pieces
        )

    def traces(
        self,
        pieces: Sequence[Piece],
        *,
        tokens_per_pass: int | None = None,
        by_length: bool = True,
        share: bool | None = None,
    ) -> list[Trace]:
        """The trace of each piece. Identical pieces are computed once.

        Pieces that begin alike share a row (`share`; None: where the device gains by it and the
        architecture allows it). Rows are sorted by length and cut into passes of at most
        `tokens_per_pass` tokens, padding included, so that rows of like length share a pass and
        padding costs little. `by_length=False` leaves them in the order given, to see what padding
        does to the numbers.
        """
        limit = tokens_per_pass or self.tokens_per_pass
        share = (share if share is not None else True) and self.can_share
        kind = torch.device(self.device).type
        longest = min(limit, _LONGEST_TREE[kind])
        rows = rows_of(dict.fromkeys(pieces), share=share, longest=longest)
        if by_length:
            rows.sort(key=len)
        done: dict[Piece, Trace] = {}
        waiting = batches_of(rows, limit, _A_PASS[kind])
        while waiting:
            batch = waiting.pop()
            try:
                done |= self._pass(batch)
            except RuntimeError as error:
                if not _out_of_memory(error) or (len(batch) == 1 and batch[0].is_chain):
                    raise
                torch.cuda.empty_cache()
                self.tokens_per_pass = max(1, len(batch) * max(map(len, batch)) // 2)
                if len(batch) == 1:
                    batch = rows_of(batch[0].pieces, share=False, longest=limit)
                waiting += [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return [done[piece] for piece in pieces]

    @torch.inference_mode()
    def _pass(self, rows: Sequence[Row]) -> dict[Piece, Trace]:
        # Padding stands on the right of causal models, where no scored position can see it; so
        # chains need no attention mask, and without one the fast causal kernels are taken.
        width = max(len(row) for row in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = torch.tensor(row.ids)
        tree = {}
        if not all(row.is_chain for row in rows):
            depths = torch.zeros((len(rows), width), dtype=torch.long)
            for padded, row in zip(depths, rows, strict=True):
                padded[: len(row)] = torch.tensor(row.depths)
            seen = np.stack([row.ancestors(width) for row in rows])
            tree["position_ids"] = depths.to(self.device)
            tree["attention_mask"] = torch.from_numpy(seen)[:, None].to(self.device)
        hidden = self._body(ids.to(self.device), **tree)
        pieces = [piece for row in rows for piece in row.pieces]
        places = [(i, spots) for i, row in enumerate(rows) for spots in row.predictors]
        which = torch.tensor([i for i, spots in places for _ in spots], device=self.device)
        where = torch.tensor([spot for _, spots in places for spot in spots], device=self.device)
        target = torch.tensor([t for piece in pieces for t in piece.target], device=self.device)
        at_once, logits = _LOGITS[torch.device(self.device).type]
        logprob, entropy = token_terms(
            self._head, hidden[which, where], target, rows=at_once, logits=logits
        )
        sizes = [len(piece.target) for piece in pieces]
        logprobs = logprob.double().cpu().split(sizes)
        entropies = entropy.double().cpu().split(sizes)
        found = [Trace(a.numpy(), b.numpy()) for a, b in zip(logprobs, entropies, strict=True)]
        return dict(zip(pieces, found, strict=True))


def load(
    model: Model, *, adapter: Path | None = None, dtype: str = "float32", device: str | None = None
) -> LanguageModel:
    """Load a model, and an adapter on top of it that stays unmerged.

    Weights are stored in any dtype and computed in `dtype`; merging an adapter into bf16 weights
    would change them, and transformers picks a dtype by itself unless told.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        keep_freed_memory()
    if adapter is not None:
        _refuse_other_base(adapter, dtype)
    tokenizer = load_tokenizer(model)
    loaded = load_model(model, dtype=dtype)
    # `generate` fills from here what our own configuration leaves open (repetition_penalty ...).
    loaded.generation_config = GenerationConfig()
    if adapter is not None:
        # An adapter stays fp32 on bf16 weights, as it was trained.
        loaded = PeftModel.from_pretrained(loaded, str(adapter))
        _refuse_adapter(loaded, adapter)
    if dtype == "nf4":
        loaded.eval()  # is where it is: weights in 4 bits cannot be moved
    else:
        loaded.to(device).eval()
    return LanguageModel(
        name=model.name,
        model=loaded,
        tokenizer=tokenizer,
        window=window_of(loaded),
        dtype=dtype,
        device=device,
        adapter=str(adapter) if adapter else None,
        tokens_per_pass=tokens_that_fit(loaded, device),
    )


def tokens_that_fit(model: nn.Module, device: str) -> int:
    """Tokens of one pass that the free memory of the device holds, between 256 and a ceiling.

    A token needs, at the widest point of a layer, its inputs and outputs and three MLP vectors. A
    quarter of the free memory is planned for, since kernels and the block of logits take their
    part. Beyond the ceiling a pass gains no speed.
    """
    kind = torch.device(device).type
    config = model.config
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available
    hidden = getattr(config, "hidden_size", 1024)
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    per_token = (8 * hidden + 3 * inner) * max(p.element_size() for p in model.parameters())
    return int(min(_MOST_TOKENS[kind], max(256, free / 4 / per_token)))


def _out_of_memory(error: RuntimeError) -> bool:
    # A GPU has an error class of its own; a CPU's allocator has only its message.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _sees_everything(config) -> bool:
    """Whether every layer attends to the whole of what comes before."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return set(kinds) == {"full_attention"}
    windowed = getattr(config, "sliding_window", None) is not None
    return not (windowed and getattr(config, "use_sliding_window", True))


def load_model(model: Model, *, dtype: str = "float32") -> PreTrainedModel:
    """The bare model: safetensors only, no remote code, dtype and revision stated."""
    quantised = quantisation.four_bits() if dtype == "nf4" else {}
    try:
        return AutoModelForCausalLM.from_pretrained(
            model.source,
            revision=model.revision or "main",
            dtype=DTYPES[dtype],
            trust_remote_code=False,
            use_safetensors=True,
            **quantised,
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataRefused(
            f"model {model.name}: cannot be loaded as a causal language model "
            f"({str(error).splitlines()[0]})",
            next_step="check the folder or id; code from model repositories is never run",
        ) from error


def load_tokenizer(model: Model) -> HubTokenizer:
    """The model's fast tokenizer; offsets need one."""
    try:
        raw = AutoTokenizer.from_pretrained(
            model.source, revision=model.revision or "main", trust_remote_code=False, use_fast=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataRefused(
            f"model {model.name}: its tokenizer cannot be loaded ({str(error).splitlines()[0]})",
            next_step="the folder needs tokenizer.json and tokenizer_config.json",
        ) from error
    if not raw.is_fast:
        raise DataRefused(
            f"model {model.name}: its tokenizer has no fast version, so tokens cannot be placed",
            next_step="convert it once with AutoTokenizer(...).save_pretrained",
        )
    config = AutoConfig.from_pretrained(
        model.source, revision=model.revision or "main", trust_remote_code=False
    )
    # Qwen's tokenizers have no BOS, and after chat tuning their EOS ends a turn and not a document;
    # the configuration names the document separator all the same.
    return HubTokenizer(raw, getattr(config, "bos_token_id", None))


def window_of(model: nn.Module) -> int:
    """The longest sequence in tokens that the model was made for."""
    return getattr(model.config, "max_position_embeddings", None) or 2048


def is_zero_adapter(model: nn.Module) -> bool:
    """Whether a LoRA adapter changes nothing, as a freshly made one does (every B matrix is 0)."""
    b_matrices = [p for name, p in model.named_parameters() if "lora_B" in name]
    return bool(b_matrices) and all(not p.detach().any() for p in b_matrices)


def _refuse_other_base(adapter: Path, dtype: str) -> None:
    """An adapter corrects the rounding of the 4-bit weights it was trained on, and no others."""
    if not (adapter / RECIPE).is_file():
        return
    trained = read_json(adapter / RECIPE)["dtype"]
    if (trained == "nf4") != (dtype == "nf4"):
        raise DataRefused(
            f"adapter {adapter}: trained on a base in {trained}, to be loaded on one in {dtype}",
            next_step=f"base and adapter with the base as it was trained on: --dtype {trained}",
        )


def _refuse_adapter(model: PeftModel, adapter: Path) -> None:
    if model.active_peft_config.is_prompt_learning:
        raise DataRefused(
            f"adapter {adapter}: it puts tokens of its own before the page, so positions would not "
            "be those of the text",
            next_step="use a LoRA, or another adapter that leaves the page as it is",
        )
    if is_zero_adapter(model):
        raise DataRefused(
            f"adapter {adapter}: every B matrix is zero, so it changes nothing",
            next_step="train it, or leave --adapter out to use the base model",
        )


def _body_and_head(model: nn.Module, device: str) -> tuple[Callable[..., Tensor], Head]:
    """ids (B, T) -> states (B, T, d), and what makes logits of states.

    Some architectures scale or cap their logits after the output embedding. Whether body and head
    alone give the model's own logits is tried once on a few ids; where they do not, the body is
    the whole model and the head does nothing.
    """
    core = model.get_base_model() if isinstance(model, PeftModel) else model

    def whole(ids: Tensor, **tree: Tensor) -> Tensor:
        return model(input_ids=ids, use_cache=False, **tree).logits

    body, head = getattr(core, "base_model", None), core.get_output_embeddings()
    if body is None or body is core or head is None:
        return whole, Head(nn.Identity())

    def split(ids: Tensor, **tree: Tensor) -> Tensor:
        return body(input_ids=ids, use_cache=False, **tree).last_hidden_state

    with torch.inference_mode():
        ids = torch.arange(8, device=device)[None] % head.weight.shape[0]
        same = torch.allclose(head(split(ids)), whole(ids), atol=1e-4, rtol=1e-4)
    if not same:
        return whole, Head(nn.Identity())
    return split, Head(head)
