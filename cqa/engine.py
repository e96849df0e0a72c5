"""A causal language model on its device: pieces -> traces, in passes that fit its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from cqa.conditions import Piece
from cqa.device_faults import is_out_of_memory
from cqa.measures import Trace
from cqa.packing import Row, batches_of, rows_of
from cqa.surprisal import Head, token_terms

if TYPE_CHECKING:
    from cqa.lm import HubTokenizer

_LEAST_TOKENS, _MOST_TOKENS = 256, {"cpu": 1024, "cuda": 65536}
"""Of one pass. On a CPU the states of more would leave the cache, and nothing is won by more."""
_LOGITS = {"cpu": (512, 2**18), "cuda": (4096, 2**26)}
"""Rows and logits that are made at once; on a CPU they stay in the cache."""
_A_PASS = {"cpu": 32, "cuda": 256}
"""What a pass costs beside its tokens, in tokens: calls, and weights that are read once."""
_LONGEST_TREE = {"cpu": 512, "cuda": 4096}
"""Tokens of a row with branches. Its mask is as wide as it is long, and a CPU feels that sooner."""


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
    tokens_per_pass: int = 0
    """As many as fit, unless given; out of memory halves it."""

    def __post_init__(self) -> None:
        self._kind = torch.device(self.device).type
        self._body, self._head = _body_and_head(self.model, self.device)
        self.tokens_per_pass = self.tokens_per_pass or self._tokens_that_fit()

    def _tokens_that_fit(self) -> int:
        """Tokens of one pass that the free memory of the device holds, up to a ceiling.

        A token needs, at the widest point of a layer, its inputs and outputs and three MLP vectors,
        and its logits where they cannot be had a part at a time. A quarter of the free memory is
        planned for, since kernels, masks and the block of logits take their part. Beyond the
        ceiling a pass gains no speed.
        """
        config = self.model.config
        hidden = getattr(config, "hidden_size", 1024)
        inner = getattr(config, "intermediate_size", None) or 4 * hidden
        numbers = 8 * hidden + 3 * inner
        if self._head.weight is None:
            numbers += getattr(config, "vocab_size", 0)
        per_token = numbers * max(p.element_size() for p in self.model.parameters())
        fits = free_memory(self.device) / 4 / per_token
        return int(min(_MOST_TOKENS[self._kind], max(_LEAST_TOKENS, fits)))

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
            shared = self._start(rows_of(pieces, share=True, longest=1024)).traces()
        except (TypeError, ValueError, RuntimeError, IndexError):
            return False
        alone = self._start(rows_of(pieces, share=False, longest=1024)).traces()
        tolerance = 0.2 if self.dtype in ("bfloat16", "nf4") else 1e-4
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

        Pieces that begin alike share a row (`share`; None: where the architecture allows it). Rows
        are sorted by length and cut into passes of at most `tokens_per_pass` tokens, padding
        included, so that rows of like length share a pass and padding costs little.
        `by_length=False` leaves them in the order given, to see what padding does to the numbers.
        """
        limit = tokens_per_pass or self.tokens_per_pass
        share = (share if share is not None else True) and self.can_share
        longest = min(limit, _LONGEST_TREE[self._kind])
        rows = rows_of(dict.fromkeys(pieces), share=share, longest=longest)
        if by_length:
            rows.sort(key=len)
        done: dict[Piece, Trace] = {}
        waiting = batches_of(rows, limit, _A_PASS[self._kind])
        running: Pass | None = None
        while waiting:
            batch = waiting.pop()
            started = self._start_if_room(batch)
            if started is None:
                limit = max(1, len(batch) * max(map(len, batch)) // 2)
                self.tokens_per_pass = min(self.tokens_per_pass, limit)
                if len(batch) == 1:
                    batch = rows_of(batch[0].pieces, share=False, longest=limit)
                rows = [row for other in [*waiting, batch] for row in other]
                waiting = batches_of(rows, limit, _A_PASS[self._kind])
                continue
            # Read only now: a GPU works on the next pass while this one is brought back.
            if running:
                done |= running.traces()
            running = started
        if running:
            done |= running.traces()
        return [done[piece] for piece in pieces]

    def _start_if_room(self, rows: Sequence[Row]) -> Pass | None:
        """A pass on its way; None where the device has no room for it and it can be cut in two."""
        try:
            return self._start(rows)
        except RuntimeError as error:
            if not is_out_of_memory(error) or (len(rows) == 1 and rows[0].is_chain):
                raise
        # After the handler: while the error is alive its frames hold the tensors of the pass.
        torch.cuda.empty_cache()
        return None

    @torch.inference_mode()
    def _start(self, rows: Sequence[Row]) -> Pass:
        # Padding stands on the right of causal models, where no scored position can see it; so
        # chains need no attention mask, and without one the fast causal kernels are taken.
        width = max(len(row) for row in rows)
        tree = {}
        if not all(row.is_chain for row in rows):
            seen = np.stack([row.ancestors(width) for row in rows])[:, None]
            tree["position_ids"] = self._sent(_padded([row.depths for row in rows], width))
            tree["attention_mask"] = self._sent(seen)
        hidden = self._body(self._sent(_padded([row.ids for row in rows], width)), **tree)
        pieces = tuple(piece for row in rows for piece in row.pieces)
        places = [i * width + p for i, row in enumerate(rows) for at in row.predictors for p in at]
        scored = hidden.flatten(0, 1).index_select(0, self._sent(np.array(places)))
        target = self._sent(np.array([t for piece in pieces for t in piece.target]))
        at_once, logits = _LOGITS[self._kind]
        return Pass(pieces, *token_terms(self._head, scored, target, rows=at_once, logits=logits))

    def _sent(self, values: np.ndarray) -> Tensor:
        """To the device; a GPU fetches it while it still works on what came before."""
        here = torch.from_numpy(values)
        if self._kind == "cuda":
            here = here.pin_memory()
        return here.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Pass:
    """Log-probability and entropy of every scored token, (tokens,) each, piece after piece.

    They may still be on their way from the device; `traces` waits for them.
    """

    pieces: tuple[Piece, ...]
    logprob: Tensor
    entropy: Tensor

    def traces(self) -> dict[Piece, Trace]:
        """The trace of each piece."""
        sizes = [len(piece.target) for piece in self.pieces]
        both = torch.stack([self.logprob, self.entropy]).cpu().double().split(sizes, dim=1)
        found = [Trace(*terms.numpy()) for terms in both]
        return dict(zip(self.pieces, found, strict=True))


def free_memory(device: str) -> int:
    """Bytes that can be had on a device, with those that torch keeps there for its next tensors."""
    if torch.device(device).type != "cuda":
        return psutil.virtual_memory().available
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _padded(lists: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """(lists, width), with zeros on the right."""
    padded = np.zeros((len(lists), width), dtype=np.int64)
    for row, values in zip(padded, lists, strict=True):
        row[: len(values)] = values
    return padded


def _sees_everything(config) -> bool:
    """Whether every layer attends to the whole of what comes before."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return set(kinds) == {"full_attention"}
    windowed = getattr(config, "sliding_window", None) is not None
    return not (windowed and getattr(config, "use_sliding_window", True))


def _body_and_head(model: nn.Module, device: str) -> tuple[Callable[..., Tensor], Head]:
    """ids (B, T) -> states (B, T, d), and what makes logits of states.

    Some architectures scale or cap their logits after the output embedding. Whether body and head
    alone give the model's own logits is tried once on a few ids; where they do not, the body is
    the whole model and the head does nothing.
    """
    adapted = hasattr(model, "get_base_model")  # peft's, which need not be imported to ask
    core = model.get_base_model() if adapted else model

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
