"""Whether probabilities of K classes are what they say, and how to mend them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


_RIDGE = 0.1


@dataclass(frozen=True)
class Bin:
    """Sentences whose likeliest class has a probability in (low, high]."""

    low: float
    high: float
    weight: float
    confidence: float
    accuracy: float


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10) -> tuple[Bin, ...]:
    """Bins of equal width of the likeliest class's probability; empty ones are left out.

    probabilities (n, K); truth (n, K), weights of the classes, a row of ones and zeros where the
    class is known.
    """
    p, t = np.asarray(probabilities, float), np.asarray(truth, float)
    top = p.argmax(axis=1)
    confidence, right = p.max(axis=1), t[np.arange(len(p)), top]
    weight = t.sum(axis=1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    made = []
    for number in range(bins):
        inside = place == number
        if (total := float(weight[inside].sum())) > 0:
            mean = float((confidence * weight)[inside].sum()) / total
            accuracy = float(right[inside].sum()) / total
            made.append(Bin(number / bins, (number + 1) / bins, total, mean, accuracy))
    return tuple(made)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: weighted mean of |accuracy - confidence| over the bins."""
    total = sum(one.weight for one in bins)
    return sum(one.weight * abs(one.accuracy - one.confidence) for one in bins) / total


def f1_scores(confusion: ArrayLike) -> FloatArray:
    """(K,) F1 of each class from a (true K, predicted K) table; 0 where nothing is right."""
    table = np.asarray(confusion, float)
    used = table.sum(axis=0) + table.sum(axis=1)
    return np.divide(2 * np.diag(table), used, out=np.zeros(len(table)), where=used > 0)


@dataclass(frozen=True)
class Calibration:
    """Softmax of slope * log p + bias: temperature scaling with a bias for every class."""

    slope: float
    bias: FloatArray

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """(n, K) -> (n, K) calibrated probabilities."""
        return _softmax(self.slope * _log(probabilities) + self.bias)


def calibrate(probabilities: FloatArray, truth: FloatArray) -> Calibration:
    """Fit slope and bias on marked sentences by maximum likelihood.

    probabilities (m, K), truth (m, K) weights. EM for shares is only as good as its probabilities,
    and this is the calibration under which it does best (Alexandari, Kundaje and Shrikumar 2020,
    ICML). A ridge of 0.1 on all parameters, tiny beside hundreds of marks, keeps the bias of a
    class without marks finite.
    """
    scores = _log(probabilities)
    total = truth.sum(axis=1)
    k = scores.shape[1]
    start = np.concatenate([[1.0], np.zeros(k)])

    def loss(theta: FloatArray) -> float:
        fitted = _softmax(theta[0] * scores + theta[1:])
        return float(-(truth * _log(fitted)).sum() + _RIDGE * ((theta - start) ** 2).sum() / 2)

    theta, now = start, loss(start)
    for _ in range(100):  # Newton's method; the loss is convex, so a dozen steps are enough
        p = _softmax(theta[0] * scores + theta[1:])
        error, weighted = total[:, None] * p - truth, total[:, None] * p
        slope = np.concatenate([[(error * scores).sum()], error.sum(axis=0)])
        slope += _RIDGE * (theta - start)
        mean = (p * scores).sum(axis=1, keepdims=True)
        curve = _RIDGE * np.eye(k + 1)
        curve[0, 0] += (weighted * (scores - mean) ** 2).sum()
        curve[0, 1:] += (weighted * (scores - mean)).sum(axis=0)
        curve[1:, 0] = curve[0, 1:]
        curve[1:, 1:] += np.diag(weighted.sum(axis=0)) - weighted.T @ p
        step = np.linalg.solve(curve, slope)
        length = 1.0
        while (then := loss(theta - length * step)) > now and length > 1e-4:
            length /= 2
        theta, gained, now = theta - length * step, now - then, then
        if gained < 1e-9 * max(1.0, now):
            break
    return Calibration(float(theta[0]), theta[1:])


def _log(probabilities: FloatArray) -> FloatArray:
    return np.log(np.maximum(probabilities, 1e-12))


def _softmax(scores: FloatArray) -> FloatArray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
