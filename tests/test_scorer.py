"""The engine against closed forms, a naive reference and independent scorers."""

from __future__ import annotations

import math
import random
import weakref

import numpy as np
import pytest
import torch
from closed_form import WordTokenizer, closed_form_lm, table_rule
from conftest import items

from cqa import engine, lm, model_ref
from cqa.conditions import Piece, plan, pool_of
from cqa.judge import Judge, evidence, traces_of
from cqa.measures import bits, nce_bits, quantities
from cqa.packing import rows_of
from cqa.surprisal import Head, token_terms
from cqa.texts import row_id
from cqa.types import Brief, Text


def scored(model, row: Text, pool=(), k: int = 3) -> dict[str, float | None]:
    """All quantities of one row, through the real path."""
    p = plan(row, row_id(row), pool, model.tokenizer, model.window, k)
    (traces,) = traces_of(model, [p])
    return quantities(evidence(row, p, traces))[0]


# --- a joint distribution that is known: I(X;Y) --------------------------------------------------

BRIEFS, LETTERS, LENGTH = 3, 3, 2
FIRST_LETTER = 1 + BRIEFS


class JointTokenizer:
    """A brief is one token, a text is one token per letter."""

    start_id = 0

    def encode(self, text):
        if text.startswith("Intent: y"):
            return [1 + int(text[len("Intent: y")])]
        if all(letter in "abc" for letter in text):
            return [FIRST_LETTER + "abc".index(letter) for letter in text]
        return [1]  # the filler text; of a one-token brief nothing of it is left

    def offsets(self, text):
        return [(i, i + 1) for i in range(len(text))]


@pytest.fixture(scope="module", params=["float64", "float32"])
def joint(request):
    """p(y, x1, x2), shape (3, 3, 3), and the model that holds its conditionals and marginal."""
    p = np.random.default_rng(7).dirichlet(np.full(BRIEFS * LETTERS**LENGTH, 0.5))
    p = p.reshape(BRIEFS, LETTERS, LETTERS)
    table = {}

    def put(prefix, letters):
        table[prefix] = [0.0] * FIRST_LETTER + list(letters / letters.sum())

    put((0,), p.sum(axis=(0, 2)))
    for a in range(LETTERS):
        put((0, FIRST_LETTER + a), p.sum(axis=0)[a])
        for y in range(BRIEFS):
            put((0, 1 + y), p[y].sum(axis=1))
            put((0, 1 + y, FIRST_LETTER + a), p[y, a])
    rule = table_rule(table, FIRST_LETTER + LETTERS)
    return p, closed_form_lm(rule, JointTokenizer(), dtype=getattr(torch, request.param))


EXACT = {"float64": 1e-9, "float32": 1e-5}
"""How near a sum over the distribution has to come, in bits."""


def gains(model) -> np.ndarray:
    """gain of every (y, x1, x2), shape (3, 3, 3), in bits."""
    return np.array(
        [
            [
                [
                    scored(model, Text(text=a + b, brief=Brief(intent=f"y{y}")))["gain"]
                    for b in "abc"
                ]
                for a in "abc"
            ]
            for y in range(BRIEFS)
        ]
    )


def test_gain_summed_over_a_known_distribution_is_its_mutual_information(joint):
    p, model = joint
    px, py = p.sum(axis=0), p.sum(axis=(1, 2))
    information = float((p * np.log2(p / (py[:, None, None] * px))).sum())
    assert information > 0.1
    assert float((p * gains(model)).sum()) == pytest.approx(information, abs=EXACT[model.dtype])


def test_gain_under_an_independent_brief_is_minus_a_divergence(joint):
    p, model = joint
    independent = p.sum(axis=(1, 2))[:, None, None] * p.sum(axis=0)
    divergence = float((independent * np.log2(independent / p)).sum())
    mean = float((independent * gains(model)).sum())
    assert mean == pytest.approx(-divergence, abs=EXACT[model.dtype])
    assert divergence > 0


def test_intervals_from_samples_cover_the_mutual_information(joint):
    """200 samples of 400 texts: the 95 % interval of the mean holds the truth in 90 to 99 %."""
    p, model = joint
    value = gains(model).ravel()
    px, py = p.sum(axis=0), p.sum(axis=(1, 2))
    truth = float((p * np.log2(p / (py[:, None, None] * px))).sum())
    drawn = value[np.random.default_rng(1).choice(p.size, size=(200, 400), p=p.ravel())]
    error = drawn.std(axis=1, ddof=1) / math.sqrt(400)
    assert 180 <= (np.abs(drawn.mean(axis=1) - truth) < 1.96 * error).sum() <= 198


def test_nce_with_independent_briefs_is_a_lower_bound_in_the_mean(joint):
    p, model = joint
    rng = np.random.default_rng(2)
    py = p.sum(axis=(1, 2))
    truth = float((p * gains(model)).sum())
    target = {
        (a, b): tuple(model.tokenizer.encode("abc"[a] + "abc"[b])) for a, b in np.ndindex(3, 3)
    }
    pieces = {(y, *ab): Piece((0, 1 + y), t) for y in range(BRIEFS) for ab, t in target.items()}
    trace = dict(zip(pieces, model.traces(list(pieces.values())), strict=True))
    found = []
    for flat in rng.choice(p.size, size=1500, p=p.ravel()):
        y, a, b = np.unravel_index(flat, p.shape)
        others = rng.choice(BRIEFS, size=3, p=py)
        found.append(nce_bits(trace[y, a, b], [trace[other, a, b] for other in others]))
    assert max(found) <= math.log2(4) + 1e-12
    assert np.mean(found) - 4 * np.std(found) / math.sqrt(len(found)) < truth
    assert np.mean(found) > 0


# --- closed forms ---------------------------------------------------------------------------------


def test_a_uniform_model_gains_nothing_from_any_brief():
    tokenizer = WordTokenizer()
    model = closed_form_lm(lambda prefix: [1 / 500] * 500, tokenizer)
    rows = [Text(**{k: v for k, v in row.items() if k in Text.model_fields}) for row in items()]
    found = scored(model, rows[0], pool_of(rows))
    tokens = len(tokenizer.encode(rows[0].text))
    assert found["surprise"] == pytest.approx(tokens * math.log2(500))
    for name in ("gain", "specific_gain", "contrast", "entropy_gain", "synergy", "phi_intent"):
        assert found[name] == pytest.approx(0, abs=1e-9), name
    assert found["match_rank"] == 2.5  # four tie: (1 + 2 + 3 + 4) / 4
    assert found["nce_bits"] == pytest.approx(0, abs=1e-9)


def test_a_model_that_copies_gains_what_the_formula_says_and_the_flag_fires():
    vocabulary, q = 64, 0.9

    def induction(prefix):
        """q on the token that followed the last token before; the rest spread evenly."""
        p = [(1 - q) / vocabulary] * vocabulary
        earlier = [i for i in range(len(prefix) - 1) if prefix[i] == prefix[-1]]
        if not earlier:
            return [1 / vocabulary] * vocabulary
        p[prefix[earlier[-1] + 1]] += q
        return p

    model = closed_form_lm(induction, WordTokenizer())
    text = "seven grey herons left before noon"
    quoting = Text(text=text, brief=Brief(intent=f"Say: {text}"))
    found = scored(model, quoting)
    # The first word follows nothing that stood there before. Each of the other five has
    # q + (1 − q)/V with the brief and 1/V without it.
    assert found["gain"] == pytest.approx(5 * math.log2((q + (1 - q) / vocabulary) * vocabulary))
    assert found["novel_gain"] is None
    judge = Judge("copier", "hash", model, pool=())
    assert "copies the brief" in judge.mark([quoting])[0].score.flags
    plain = quoting.model_copy(update={"brief": Brief(intent="Say something else.")})
    assert "copies the brief" not in judge.mark([plain])[0].score.flags


def test_an_empty_brief_gains_exactly_nothing_and_a_missing_one_is_not_scored(tiny):
    text = items()[0]["text"]
    empty = scored(tiny, Text(text=text, brief=Brief()))
    for name in ("gain", "entropy_gain", "phi_intent", "phi_audience", "phi_reality", "gain_share"):
        assert empty[name] == 0.0, name
    missing = scored(tiny, Text(text=text))
    assert missing["surprise"] == empty["surprise"] > 0
    for found in (empty, missing):
        assert found["specific_gain"] is None
        assert found["nce_bits"] is None
        assert found["match_rank"] is None
    assert missing["gain"] is None


# --- the same numbers whatever the batch ----------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return lm.load(model_ref.find(str(tiny_model)), device="cpu")


@pytest.fixture(scope="module")
def pieces(tiny):
    rows = [Text(**{k: v for k, v in row.items() if k in Text.model_fields}) for row in items()]
    pool = pool_of(rows)
    plans = [plan(row, row.id, pool, tiny.tokenizer, tiny.window) for row in rows]
    return [piece for p in plans for name in p.conditions for piece in p.conditions[name]]


def naive(tiny, piece):
    """One text at a time through the model's own forward, in the order of the definition."""
    ids = torch.tensor([[*piece.left, *piece.target]])
    with torch.inference_mode():
        logp = torch.log_softmax(tiny.model(ids).logits[0].float(), dim=-1)
    at = range(len(piece.left) - 1, len(piece.left) + len(piece.target) - 1)
    logprob = [float(logp[i, ids[0, i + 1]]) for i in at]
    entropy = [float(-(logp[i].exp() * logp[i]).sum()) for i in at]
    return np.array(logprob), np.array(entropy)


@pytest.mark.parametrize("tokens_per_pass", [1, 300, 4096, 10**6])
@pytest.mark.parametrize("order", ["as given", "shuffled"])
@pytest.mark.parametrize("share", [True, False])
def test_traces_equal_the_naive_reference(tiny, pieces, tokens_per_pass, order, share):
    assert tiny.can_share
    wanted = list(pieces)
    if order == "shuffled":
        random.Random(3).shuffle(wanted)
    found = tiny.traces(wanted, tokens_per_pass=tokens_per_pass, share=share)
    for piece, trace in list(zip(wanted, found, strict=True))[::5]:
        logprob, entropy = naive(tiny, piece)
        assert np.abs(bits(trace.logprob_nats - logprob)).max() < 1e-4
        assert np.abs(bits(trace.entropy_nats - entropy)).max() < 1e-4


def test_padding_on_the_left_gives_the_same_numbers(tiny, pieces):
    """The engine pads on the right; transformers with a mask and positions, padded on the left."""
    some = pieces[:60:7]
    width = max(len(piece.left) + len(piece.target) for piece in some)
    ids = torch.zeros((len(some), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, piece in enumerate(some):
        page = [*piece.left, *piece.target]
        ids[i, width - len(page) :] = torch.tensor(page)
        mask[i, width - len(page) :] = 1
    with torch.inference_mode():
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = tiny.model(ids, attention_mask=mask, position_ids=positions).logits
        logp = torch.log_softmax(logits, -1)
    for i, (piece, trace) in enumerate(zip(some, tiny.traces(some), strict=True)):
        at = torch.arange(width - len(piece.target), width)
        found = logp[i, at - 1, ids[i, at]].numpy()
        assert np.abs(bits(trace.logprob_nats - found)).max() < 1e-4


@pytest.mark.parametrize(("rows", "logits"), [(1, 1), (3, 7), (4, 40), (100, 10**6)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_walk_along_the_vocabulary_is_the_softmax(rows, logits, dtype):
    torch.manual_seed(1)
    matrix = torch.nn.Linear(8, 50, dtype=dtype).requires_grad_(False)
    states, target = 9 * torch.randn(11, 8, dtype=dtype), torch.randint(0, 50, (11,))
    exact = torch.nn.functional.linear(
        states.double(), matrix.weight.double(), matrix.bias.double()
    )
    logp = exact.log_softmax(-1)
    before = states.clone()
    logprob, entropy = token_terms(Head(matrix), states, target, rows=rows, logits=logits)
    assert torch.equal(states, before)
    assert logprob.dtype == entropy.dtype == torch.promote_types(dtype, torch.float32)
    near = 1e-12 if dtype == torch.float64 else 2e-5
    wanted = logp[torch.arange(11), target]
    torch.testing.assert_close(logprob.double(), wanted, atol=near, rtol=0)
    torch.testing.assert_close(entropy.double(), -(logp.exp() * logp).sum(-1), atol=near, rtol=0)


@pytest.mark.parametrize("logits", [1, 2, 6])
def test_probabilities_of_zero_are_counted_as_none(logits):
    p = torch.tensor([[0.0, 0.0, 0.5, 0.25, 0.25, 0.0]], dtype=torch.float64)
    head, none = Head(torch.nn.Identity()), torch.tensor([0])
    logprob, entropy = token_terms(head, p.log(), torch.tensor([2]), rows=1, logits=logits)
    assert float(logprob) == pytest.approx(math.log(0.5))
    assert float(entropy) == pytest.approx(1.5 * math.log(2))
    assert float(token_terms(head, p.log(), none, rows=1, logits=logits)[0]) == -math.inf


@pytest.mark.parametrize(
    "out_of_memory",
    [
        lambda: torch.OutOfMemoryError("too much"),
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    ],
)
def test_out_of_memory_halves_the_pass_and_goes_on(tiny, pieces, monkeypatch, out_of_memory):
    wanted = tiny.traces(pieces[:12])
    real, usual = type(tiny)._start, tiny.tokens_per_pass
    failures, held_when_emptied = [], []

    class Held:
        """What a pass has on the device when the memory ends."""

    def small_device(self, batch):
        if len(batch) > 2 or not all(row.is_chain for row in batch):
            held = Held()
            failures.append(weakref.ref(held))
            raise out_of_memory()
        return real(self, batch)

    monkeypatch.setattr(type(tiny), "_start", small_device)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: held_when_emptied.append(failures[-1]()))
    found = tiny.traces(pieces[:12])
    assert tiny.tokens_per_pass < usual
    tiny.tokens_per_pass = usual
    assert held_when_emptied == [None] * len(failures), "nothing is held when memory is given back"
    for one, two in zip(wanted, found, strict=True):
        assert np.abs(one.logprob_nats - two.logprob_nats).max() < 1e-5


@pytest.mark.parametrize("error", [RuntimeError("a bug"), torch.OutOfMemoryError("a bug")])
def test_an_error_that_no_smaller_pass_can_mend_is_not_swallowed(tiny, pieces, monkeypatch, error):
    def broken(self, batch):
        raise error

    monkeypatch.setattr(type(tiny), "_start", broken)
    usual = tiny.tokens_per_pass
    with pytest.raises(RuntimeError, match="a bug"):
        tiny.traces(pieces[:2], share=False)
    tiny.tokens_per_pass = usual


def test_the_pass_is_sized_by_the_free_memory_of_its_device(tiny, monkeypatch):
    def sized(kind: str, free: int) -> int:
        monkeypatch.setattr(engine, "free_memory", lambda device: free)
        monkeypatch.setattr(tiny, "_kind", kind)
        return tiny._tokens_that_fit()

    a_token = 4 * (8 * 32 + 3 * 64)  # fp32, hidden 32, MLP 64
    assert sized("cuda", 4 * 5000 * a_token) == 5000
    assert sized("cuda", 2**50) == 65536
    assert sized("cpu", 2**50) == 1024
    assert sized("cuda", 0) == 256, "and what does not fit is halved"
    # where the logits come in one piece they are what fills the memory
    monkeypatch.setattr(tiny, "_head", Head(torch.nn.Identity()))
    whole = a_token + 4 * tiny.model.config.vocab_size
    assert sized("cuda", 4 * 5000 * whole) == 5000


def test_free_memory_of_a_gpu_counts_what_torch_keeps_for_itself(monkeypatch):
    for name, value in {
        "mem_get_info": (3000, 9000),
        "memory_reserved": 700,
        "memory_allocated": 500,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert engine.free_memory("cuda:1") == 3000 + 700 - 500


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pass_leaves_no_tensor_on_the_host(tiny_model, pieces, dtype):
    """On the `meta` device: shapes and dtypes without numbers, and host tensors are refused."""
    away = lm.load(model_ref.find(str(tiny_model)), device="cpu")
    away.model.to(device="meta", dtype=dtype)
    away.device, away._head = "meta", Head(away.model.lm_head)
    rows = rows_of(pieces[:6], share=True, longest=512)
    assert not all(row.is_chain for row in rows)
    found = away._start(rows)
    scored = sum(len(piece.target) for row in rows for piece in row.pieces)
    for terms in (found.logprob, found.entropy):
        assert terms.device.type == "meta"
        assert (terms.dtype, terms.shape) == (torch.float32, (scored,))


def test_a_row_has_the_same_score_in_any_company(tiny):
    rows = [Text(**{k: v for k, v in row.items() if k in Text.model_fields}) for row in items()]
    pool = pool_of(rows)
    alone = scored(tiny, rows[3], pool)
    plans = [plan(row, row.id, pool, tiny.tokenizer, tiny.window) for row in rows[::-1]]
    together = traces_of(tiny, plans)[rows[::-1].index(rows[3])]
    found = quantities(evidence(rows[3], plans[rows[::-1].index(rows[3])], together))[0]
    for name, value in alone.items():
        if value is not None:
            assert found[name] == pytest.approx(value, abs=1e-4), name


def test_the_noise_floor_is_of_a_fixed_quarter_and_at_least_24_texts(tiny):
    rows = [
        Text(**{k: row[k] for k in ("context", "brief", "text")}, id=f"{row['id']}-{copy}")
        for copy in range(10)
        for row in items()
    ]
    name, passes = "gain_bits_per_token", []
    real = Judge.mark

    class Watched(Judge):
        def mark(self, texts, **options):
            passes.append(([text.id for text in texts], options))
            return real(self, texts, **options)

    watched = Watched("tiny", "hash", tiny, pool=())
    found = watched.noise_floor(rows, len(rows), [name])
    assert found["texts"] == 120 // 4
    assert 0 <= found["largest_difference"][name] < 1e-4
    (usual, _), (other, how) = passes
    assert other == usual[::-1]
    assert how["tokens_per_pass"] < tiny.tokens_per_pass
    assert not how["by_length"]
    passes.clear()
    watched.noise_floor(random.Random(1).sample(rows, len(rows)), len(rows), [name])
    assert passes[0][0] == usual, "the same quarter in any order"
    assert watched.noise_floor(rows[:60], 60, [name])["texts"] == 24


# --- independent scorers --------------------------------------------------------------------------


def test_surprise_equals_the_loss_that_transformers_computes(tiny):
    row = items()[0]
    found = scored(tiny, Text(text=row["text"], context=row["context"]))
    left = [tiny.tokenizer.start_id, *tiny.tokenizer.encode(row["context"])]
    target = tiny.tokenizer.encode(row["text"])
    labels = torch.tensor([[-100] * len(left) + target])
    with torch.inference_mode():
        loss = tiny.model(input_ids=torch.tensor([left + target]), labels=labels).loss
    assert found["surprise"] == pytest.approx(float(loss) * len(target) / math.log(2), rel=1e-5)


def test_surprise_equals_that_of_minicons(tiny_model):
    scorers = pytest.importorskip("minicons.scorer")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = tokenizer.eos_token  # minicons has no rule for models without a BOS
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    other = scorers.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    ours = lm.load(model_ref.find(str(tiny_model)), device="cpu")
    for row in items()[:4]:
        (nats,) = other.conditional_score(
            [row["context"]],
            [row["text"].strip()],
            reduction=lambda x: x.sum(0).item(),
            bos_token=True,
        )
        found = scored(ours, Text(text=row["text"], context=row["context"]))
        assert found["surprise"] == pytest.approx(-nats / math.log(2), abs=1e-3)


def test_log_likelihood_equals_that_of_lm_eval_where_the_conventions_agree(tiny_model):
    """lm-eval conditions on the context alone and puts its start token before empty contexts only.

    Ours has the start token in every condition; without it the two agree, and with it they do not,
    which is why differences of lm-eval's conditional and unconditional scores are no gains.
    """
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    from lm_eval.api.instance import Instance

    ours = lm.load(model_ref.find(str(tiny_model)), device="cpu")
    other = huggingface.HFLM(
        pretrained=ours.model,
        tokenizer=ours.tokenizer.raw,
        batch_size=4,
        max_length=1024,
        softmax_dtype="float32",
        device="cpu",
    )
    assert other.prefix_token_id == ours.tokenizer.start_id
    pairs = [(row["context"], row["text"]) for row in items()] + [("", items()[0]["text"])]
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    theirs = [nats for nats, _ in other.loglikelihood(requests, disable_tqdm=True)]
    start = (ours.tokenizer.start_id,)
    for (context, text), expected in zip(pairs, theirs, strict=True):
        left, target = (tuple(ours.tokenizer.encode(t)) for t in (context, text))
        same, with_start = ours.traces([Piece(left or start, target), Piece(start + left, target)])
        assert bits(abs(same.logprob_nats.sum() - expected)) < 1e-4 * len(target)
        if context:
            assert abs(with_start.logprob_nats.sum() - expected) > 1e-3


# --- where pieces may not share their beginning ---------------------------------------------------


def small(kind, **config):
    """A language model of another architecture, random, behind the real engine."""
    torch.manual_seed(0)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(kind(**config)).float().eval()
    return lm.LanguageModel("small", model, None, 64, "float32", "cpu")


def branches():
    """Three pieces that begin alike, longer than the sliding window below."""
    stem = tuple(range(1, 30))
    return [Piece(stem, (5, 6, 7)), Piece(stem, (7, 6)), Piece(stem[:20], (3, 2, 1))]


def test_learned_positions_and_odd_heads_share_exactly():
    from transformers import GPT2Config

    model = small(GPT2Config, vocab_size=64, n_positions=64, n_embd=16, n_layer=2, n_head=2)
    assert model.can_share
    shared, alone = (model.traces(branches(), share=share) for share in (True, False))
    for one, two in zip(shared, alone, strict=True):
        np.testing.assert_allclose(one.logprob_nats, two.logprob_nats, atol=1e-5)


@pytest.mark.parametrize("architecture", ["window", "positions by distance", "recurrent"])
def test_an_architecture_that_cannot_share_is_scored_piece_by_piece(architecture):
    from transformers import BloomConfig, MambaConfig, MistralConfig

    model = {
        "window": lambda: small(
            MistralConfig,
            vocab_size=64,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            sliding_window=8,
        ),
        "positions by distance": lambda: small(
            BloomConfig, vocab_size=64, hidden_size=16, n_layer=2, n_head=2
        ),
        "recurrent": lambda: small(
            MambaConfig, vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4
        ),
    }[architecture]()
    assert not model.can_share
    for piece, trace in zip(branches(), model.traces(branches(), share=True), strict=True):
        logprob, _ = naive(model, piece)
        np.testing.assert_allclose(trace.logprob_nats, logprob, atol=1e-5)


# --- adapters and windows -------------------------------------------------------------------------


def test_a_text_longer_than_the_window_is_scored_in_pieces_with_one_left_context(tiny):
    row = Text(text=" ".join(["The kettle sang."] * 200), brief=Brief(intent="Go on for long."))
    p = plan(row, "long", [], tiny.tokenizer, window=256)
    assert p.pieces > 1
    for name, own in p.conditions.items():
        assert [t for piece in own for t in piece.target] == list(p.token_ids), name
        assert all(len(piece.left) + len(piece.target) <= 256 for piece in own), name
    # The left context of a piece, without start token and preface, is the same everywhere.
    preface = tiny.tokenizer.encode("Intent: Go on for long.\n\n")
    for none, full in zip(p.conditions["none"], p.conditions["intent"], strict=True):
        assert full.left == (none.left[0], *preface, *none.left[1:])
    # Every piece but the last ends with a sentence.
    ends = np.cumsum([len(piece.target) for piece in p.conditions["none"]])[:-1]
    assert all(row.text[p.spans[end - 1][0] : p.spans[end - 1][1]].endswith(".") for end in ends)


def test_a_brief_that_fills_the_window_leaves_the_row_unscored_with_its_reason(tiny):
    row = Text(text="Short.", brief=Brief(intent="word " * 400))
    p = plan(row, "x", [], tiny.tokenizer, window=256)
    found, why = quantities(evidence(row, p, {}))
    assert found["gain"] is None
    assert "of the model's 256 tokens" in why["gain"]


def test_weights_in_bf16_are_stated_and_close_but_not_equal(tiny_model, tiny, pieces):
    rough = lm.load(model_ref.find(str(tiny_model)), dtype="bfloat16", device="cpu")
    assert rough.dtype == "bfloat16"
    one = tiny.traces(pieces[:3])[0].logprob_nats
    two = rough.traces(pieces[:3])[0].logprob_nats
    assert 1e-4 < np.abs(one - two).max() < 1
