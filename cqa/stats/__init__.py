"""Was the change real, how large, how sure: pure functions of per-item changes and work labels.

Everywhere `delta` holds one finite number per item (after minus before, in its own unit) and
`work` the label of the work it comes from; missing values are dropped and counted before.
Randomness comes from `seed`, an int or a numpy Generator. What cannot be computed is None with a
reason, never NaN.
"""

from cqa.stats.calibration import NullCalibration, calibrate_difference, calibrate_sign_flips
from cqa.stats.control import DifferenceOfDifferences, difference_of_differences, tost
from cqa.stats.correlation import rank_correlation, spearman
from cqa.stats.effect_size import cohens_dz, hedges_factor, rank_biserial
from cqa.stats.interval import Interval, bootstrap_interval
from cqa.stats.multiplicity import AdjustedP, holm, max_t
from cqa.stats.paired import (
    SignificanceTest,
    sign_flip_interval,
    sign_flip_test,
    wilcoxon_on_work_means,
)
from cqa.stats.power import (
    Power,
    planned_effect,
    smallest_detectable,
    smallest_detectable_difference,
)
from cqa.stats.reliability import Reliability, reliability
from cqa.stats.seeds import SEEDS_FOR_CROSSING, OverSeeds, over_seeds
from cqa.stats.verdicts import Claim, Verdict, control_unmoved, selective, verdict
from cqa.stats.works import Works, by_work, standard_error

__all__ = [
    "SEEDS_FOR_CROSSING",
    "AdjustedP",
    "Claim",
    "DifferenceOfDifferences",
    "Interval",
    "NullCalibration",
    "OverSeeds",
    "Power",
    "Reliability",
    "SignificanceTest",
    "Verdict",
    "Works",
    "bootstrap_interval",
    "by_work",
    "calibrate_difference",
    "calibrate_sign_flips",
    "cohens_dz",
    "control_unmoved",
    "difference_of_differences",
    "hedges_factor",
    "holm",
    "max_t",
    "over_seeds",
    "planned_effect",
    "rank_biserial",
    "rank_correlation",
    "reliability",
    "selective",
    "sign_flip_interval",
    "sign_flip_test",
    "smallest_detectable",
    "smallest_detectable_difference",
    "spearman",
    "standard_error",
    "tost",
    "verdict",
    "wilcoxon_on_work_means",
]
