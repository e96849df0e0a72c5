"""Shares of classes from a fallible classifier: counted, corrected, with intervals.

K classes throughout; a share is a fraction of 1. Nothing here knows what the classes mean.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cqa.audit.calibration import calibrate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PRIOR_MARKS = 1.0
"""What the rates of cross-validation count, in marked sentences a class, beside the marks."""
PSEUDO_MARKS = 0.5
"""A class that was never marked may yet exist: Jeffreys' half a mark, in intervals only."""


@dataclass(frozen=True)
class Marked:
    """m sentences with the classifier's probabilities and one or two marks each.

    `probabilities` is (m, K); `marks` is (m, 2), class numbers with -1 for a mark that is not
    there (the first always is); `rows` and `sources` (m,) number the rows and the data sets that
    they stand in, which are resampled whole.
    """

    probabilities: FloatArray
    marks: IntArray
    rows: IntArray
    sources: IntArray

    def __len__(self) -> int:
        return len(self.marks)

    @property
    def weights(self) -> FloatArray:
        """(m, K): one for each sentence, halved where its two marks differ."""
        return _weights(self.marks, self.probabilities.shape[1])

    def of(self, chosen: NDArray[np.bool_]) -> Marked:
        """The sentences where `chosen` (m,) is true."""
        return Marked(
            self.probabilities[chosen],
            self.marks[chosen],
            self.rows[chosen],
            self.sources[chosen],
        )


@dataclass(frozen=True)
class Shares:
    """Shares (K,), their interval (K,) each, and the draws (R, K) that it was taken from."""

    share: FloatArray
    low: FloatArray
    high: FloatArray
    draws: FloatArray

    def difference(self, one: int, other: int) -> tuple[float, float, float]:
        """Share of class `one` minus share of class `other`, with its interval."""
        estimate = float(self.share[one] - self.share[other])
        low, high = _ends(self.draws[:, one] - self.draws[:, other], np.asarray(estimate))
        return estimate, float(low), float(high)


def misclassification(predicted: ArrayLike, truth: ArrayLike, prior: ArrayLike) -> FloatArray:
    """P(predicted j | true k) as a (j, k) matrix whose columns sum to 1.

    predicted (m, K) and truth (m, K) are weights. `prior` (K, K) counts PRIOR_MARKS sentences in
    every column, so that a class without marks has rates at all.
    """
    counts = np.asarray(predicted, float).T @ np.asarray(truth, float)
    counts = counts + PRIOR_MARKS * np.asarray(prior, float)
    return counts / counts.sum(axis=0)


def adjusted_count(naive: ArrayLike, rates: ArrayLike) -> FloatArray:
    """The shares q >= 0, sum 1, that minimise |rates @ q - naive|: classify, count and adjust.

    naive (..., K), rates (..., K, K) with P(predicted j | true k) in row j, column k. Constrained
    least squares instead of the inverse, which leaves the simplex (Hopkins and King 2010, AJPS
    54:229; Forman 2008, DMKD 17:164). Exact: the minimum lies inside one of the 2^K - 1 faces, and
    on each it is a linear system.
    """
    p, a = np.asarray(naive, float), np.asarray(rates, float)
    k = p.shape[-1]
    best = np.full(p.shape[:-1], np.inf)
    found = np.zeros(np.broadcast_shapes(p.shape, a.shape[:-1]))
    for size in range(1, k + 1):
        for face in itertools.combinations(range(k), size):
            columns = a[..., face]
            q = np.zeros_like(found)
            q[..., face] = _on_face(columns, p)
            misfit = ((np.einsum("...jk,...k->...j", a, q) - p) ** 2).sum(axis=-1)
            better = (q >= -1e-9).all(axis=-1) & (misfit < best - 1e-15)
            best = np.where(better, misfit, best)
            found = np.where(better[..., None], q, found)
    found = found.clip(min=0)
    return found / found.sum(axis=-1, keepdims=True)


def _on_face(columns: FloatArray, p: FloatArray) -> FloatArray:
    """Least squares with sum 1: the stationary point of the Lagrangian."""
    size = columns.shape[-1]
    normal = np.swapaxes(columns, -1, -2) @ columns + 1e-10 * np.eye(size)
    system = np.ones((*normal.shape[:-2], size + 1, size + 1))
    system[..., :size, :size] = normal
    system[..., size, size] = 0
    right = np.ones((*p.shape[:-1], size + 1))
    right[..., :size] = np.einsum("...jk,...j->...k", columns, p)
    return np.linalg.solve(system, right[..., None])[..., :size, 0]


def to_simplex(q: ArrayLike) -> FloatArray:
    """The nearest point (..., K) with no negative part and sum 1 (Duchi et al. 2008, ICML)."""
    points = np.asarray(q, float)
    falling = -np.sort(-points, axis=-1)
    excess = (np.cumsum(falling, axis=-1) - 1) / np.arange(1, points.shape[-1] + 1)
    last = (falling > excess).sum(axis=-1, keepdims=True) - 1
    return np.maximum(points - np.take_along_axis(excess, last, axis=-1), 0)


def em_shares(
    probabilities: FloatArray,
    prior: FloatArray,
    *,
    weights: FloatArray | None = None,
    start: FloatArray | None = None,
    tolerance: float = 1e-7,
) -> FloatArray:
    """Maximum-likelihood shares where only the shares changed (Saerens et al. 2002, NC 14:21).

    probabilities (n, K) hold where the shares are `prior` (K,); `weights` (n,) count sentences.
    """
    ratio = probabilities / np.maximum(prior, 1e-12)
    w = np.ones(len(ratio)) if weights is None else weights
    w = w / w.sum()
    q = np.full(len(prior), 1 / len(prior)) if start is None else np.maximum(start, 1e-6)
    for _ in range(10_000):
        following = q * (ratio.T @ (w / (ratio @ q)))
        if np.abs(following - q).max() < tolerance:
            return following / following.sum()
        q = following
    return q / q.sum()


def difference_shares(
    everywhere: FloatArray, predicted: FloatArray, truth: FloatArray, sentences: int
) -> FloatArray:
    """Shares (K,) where a uniform sample of the data set was marked, whatever the classifier does.

    The marks, and as much of the classifier as lowers the variance: mean(y) + t (mean of f over
    all - mean of f over the marked), the difference estimator of survey sampling (Angelopoulos et
    al. 2023, Science 382:669, with the tuning of arXiv 2311.01453; one t in [0, 1] for all classes,
    so that the shares sum to 1). everywhere (K,) is the mean probability over all `sentences`;
    predicted (m, K); truth (m, K) weights.
    """
    weight = truth.sum(axis=1)
    total = weight.sum()
    share = truth.sum(axis=0) / total
    mean = (predicted * weight[:, None]).sum(axis=0) / total
    covariance = (truth * predicted).sum() / total - (share * mean).sum()
    variance = ((predicted - mean) ** 2 * weight[:, None]).sum() / total
    t = 0.0
    if variance > 0:
        t = float(np.clip(covariance / variance / (1 + len(truth) / sentences), 0, 1))
    return to_simplex(share + t * (everywhere - mean))


def point_estimates(
    probabilities: FloatArray, marked: Marked, prior_rates: FloatArray
) -> dict[str, FloatArray]:
    """Shares (K,) of sentences with probabilities (n, K): "adjusted" count and "em".

    Both suppose that only the shares differ between the marked sentences and these.
    """
    rates = misclassification(one_hot(marked.probabilities), marked.weights, prior_rates)
    return {
        "adjusted": adjusted_count(one_hot(probabilities).mean(axis=0), rates),
        "em": _em(probabilities, marked.probabilities, marked.weights),
    }


def estimate(
    probabilities: FloatArray,
    rows: IntArray,
    marked: Marked,
    prior_rates: FloatArray,
    *,
    own: NDArray[np.bool_] | None = None,
    sentences: int | None = None,
    seed: int,
    replicates: int = 400,
) -> dict[str, Shares]:
    """Shares of a data set with 95 % intervals, as `point_estimates` and, with `own`, "marks".

    probabilities (n, K) and row numbers (n,) of its sentences; `own` (m,) tells which of the marked
    sentences are a uniform sample of this data set, `sentences` how many it has (default n).
    Percentile intervals of the Bayesian bootstrap (Rubin 1981, Ann. Stat. 9:130): every row of the
    data set and every row with marks gets an exponential weight, one of a sentence's two marks is
    drawn, the prior of the error rates is drawn with its weight, and everything is fitted anew.
    What is borrowed from the marks of several data sets is weighted by data set too, since the
    errors differ more between data sets than within one.
    """
    rng = np.random.default_rng(seed)
    k = probabilities.shape[1]
    predicted, marked_as = one_hot(probabilities), one_hot(marked.probabilities)
    points = point_estimates(probabilities, marked, prior_rates)
    inside = own if own is not None and own.any() else None
    if inside is not None:
        points["marks"] = difference_shares(
            probabilities.mean(axis=0),
            marked.probabilities[inside],
            marked.weights[inside],
            sentences or len(rows),
        )

    numbered = _numbered(rows)
    marked_rows, sources = _numbered(marked.rows), _numbered(marked.sources)
    draws: dict[str, list[FloatArray]] = {method: [] for method in points}
    naive, rates = [], []
    for _ in range(replicates):
        weight = rng.standard_exponential(numbered.max() + 1)[numbered]
        row_weight = rng.standard_exponential(marked_rows.max() + 1)[marked_rows]
        source_weight = rng.standard_exponential(sources.max() + 1)
        source_weight = (source_weight / source_weight.mean())[sources]
        drawn = np.eye(k)[_drawn(marked.marks, rng)]
        truth = drawn * (row_weight * source_weight)[:, None]
        naive.append(weight @ predicted / weight.sum())
        counts = marked_as.T @ truth
        counts = counts + rng.standard_gamma(np.maximum(PRIOR_MARKS * prior_rates, 1e-6))
        rates.append(counts / counts.sum(axis=0))
        draws["em"].append(_em(probabilities, marked.probabilities, truth, weight, points["em"]))
        if inside is not None:
            everywhere = weight @ probabilities / weight.sum()
            unseen = np.eye(k) * rng.standard_gamma(PSEUDO_MARKS, k)[:, None]
            draws["marks"].append(
                difference_shares(
                    everywhere,
                    np.vstack([marked.probabilities[inside], np.tile(everywhere, (k, 1))]),
                    np.vstack([(drawn * row_weight[:, None])[inside], unseen]),
                    sentences or len(rows),
                )
            )
    draws["adjusted"] = list(adjusted_count(np.array(naive), np.array(rates)))
    made = {}
    for method, point in points.items():
        table = np.array(draws[method])
        low, high = _ends(table, point)
        made[method] = Shares(point, low, high, table)
    return made


def _numbered(labels: IntArray) -> IntArray:
    return np.unique(labels, return_inverse=True)[1]


def _em(
    probabilities: FloatArray,
    marked: FloatArray,
    truth: FloatArray,
    weights: FloatArray | None = None,
    start: FloatArray | None = None,
) -> FloatArray:
    """Calibrate on the marks, then EM; what the calibrated classifier says of them is the prior."""
    fitted = calibrate(marked, truth)
    total = truth.sum(axis=1)
    prior = total @ fitted.apply(marked) / total.sum()
    tolerance = 1e-7 if start is None else 1e-5
    return em_shares(
        fitted.apply(probabilities), prior, weights=weights, start=start, tolerance=tolerance
    )


def _ends(draws: FloatArray, point: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return np.minimum(low, point), np.maximum(high, point)


def one_hot(probabilities: FloatArray) -> FloatArray:
    """(n, K): 1 for the likeliest class of each sentence, else 0."""
    return np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]


def _weights(marks: IntArray, k: int) -> FloatArray:
    first, second = marks[:, 0], np.where(marks[:, 1] < 0, marks[:, 0], marks[:, 1])
    return (np.eye(k)[first] + np.eye(k)[second]) / 2


def _drawn(marks: IntArray, rng: np.random.Generator) -> IntArray:
    which = rng.integers(0, 2, len(marks))
    drawn = marks[np.arange(len(marks)), which]
    return np.where(drawn < 0, marks[:, 0], drawn)
