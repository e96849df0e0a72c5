"""What is read of the records of finished runs, by stage: they may come from anybody.

Only what some command reads has a type here; whatever else a record says is let through.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cqa.errors import DataRefused
from cqa.runs.spec import Spec

AGAIN = "delete the folder of this run and repeat its command"


def refuse_unreadable(record: Mapping[str, Any], found_for: Spec | None = None) -> None:
    """DataRefused unless the record of this finished run has what the commands read of it.

    With `found_for` it has to be the record of this spec, and may lack whole sections.
    """
    for name in _OF_SPEC if found_for else ():
        if record[name] != json.loads(json.dumps(getattr(found_for, name), default=dict)):
            raise DataRefused(
                f"{record['id']}: {name} is not what its fingerprint was made of", next_step=AGAIN
            )
    if (kind := _STAGES.get(record["stage"])) is None:
        return
    try:
        kind.model_validate(record)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        if found_for:
            wrong = [one for one in wrong if one["loc"][0] not in _OF_SPEC and not _is_absent(one)]
        if wrong:
            raise DataRefused(f"{record['id']}: {_said(wrong[0])}", next_step=AGAIN) from error


_OF_SPEC = ("stage", "config", "inputs", "parents", "seed", "budget")


def _is_absent(error: Mapping[str, Any]) -> bool:
    return error["type"] == "missing" and len(error["loc"]) == 1


def _said(error: Mapping[str, Any]) -> str:
    place = ".".join(str(step)[:60] for step in error["loc"])
    if error["type"] == "missing":
        return f"{place} is missing"
    return f"{place} is {repr(error['input'])[:60]} ({error['msg'][:200]})"


Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True)


class _Money(_Section):
    money: Number | None
    currency: str | None
    price: str | None
    price_source: str | None

    @model_validator(mode="after")
    def _in_a_currency(self) -> _Money:
        if (self.money is None) != (self.currency is None):
            raise ValueError("money and currency belong together")
        return self


class _Fit(_Section):
    after_step: Whole
    steps: Whole


class _Spent(_Money):
    device_seconds: Number
    wall_seconds: Number
    tokens: Whole
    tokens_repeated: Whole
    epochs: Number
    steps: Whole
    attempts: Whole
    rows_read_twice: Whole | None = None
    plan: list[_Fit] | None = None
    flops: Number
    achieved_flop_per_second: Number | None
    share_of_matmul_peak: Number | None
    peak_memory_bytes: Whole
    peak_memory_of: str
    energy_wh: Number | None
    energy_source: str
    micro_batch_size: Whole
    accumulation: Whole
    out_of_memory: Whole
    device: str
    device_kind: str | None = None
    device_seconds_per_token: Number | None = None

    @model_validator(mode="after")
    def _of_a_speed(self) -> _Spent:
        if self.share_of_matmul_peak is not None and self.achieved_flop_per_second is None:
            raise ValueError("a share of the peak without a speed")
        return self


class _Planned(_Section):
    device_seconds: Number
    device_seconds_low: Number
    device_seconds_high: Number


class _Effect(_Section):
    before: Number
    after: Number
    change: Number
    change_low: Number
    change_high: Number


class _Data(_Section):
    licences: list[str]
    sources: list[str]


class _TrainConfig(_Section):
    model: str
    method: str
    dtype: str


class _TrainInputs(_Section):
    model: str


class _TrainHeadline(_Section):
    rows: Whole | None = None


class _Chosen(_Section):
    epoch: Whole | None = None


class _Train(_Section):
    config: _TrainConfig
    inputs: _TrainInputs
    parents: Annotated[list[str], Field(min_length=1)]
    data: _Data
    headline: _TrainHeadline
    spent: _Spent
    planned: _Planned | None = None
    side_effects: dict[str, _Effect | str | Number | None] | None = None
    settings_from: dict[str, Any] | None = None
    checkpoint: _Chosen | None = None
    base_source: str | None = None


class _Group(BaseModel):
    """Means of one source and group: a number or null for each quantity, and how many it is of."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Whole | Number | None]

    source: str
    group: str
    texts: Whole
    surprise_bits_per_token: Number | None
    gain_bits_per_token: Number | None
    specific_gain_bits_per_token: Number | None
    flags: dict[str, Whole]

    @model_validator(mode="after")
    def _counted(self) -> _Group:
        every = self.model_dump()
        for name in every:
            if name.endswith("_scored"):
                of = name.removesuffix("_scored")
                if of not in every or not isinstance(every[name], int):
                    raise ValueError(f"{name[:60]} is no count of a quantity")
        return self


class _Thresholds(_Section):
    surprise: Number
    residual: Number


class _NoiseFloor(_Section):
    texts: Whole
    largest_difference: dict[str, Number]


class _ScoreHeadline(_Section):
    texts: Whole
    dtype: str
    thresholds: _Thresholds | None = None
    noise_floor: _NoiseFloor | None = None
    groups: list[_Group]

    @model_validator(mode="after")
    def _alike(self) -> _ScoreHeadline:
        if len({frozenset(one.model_dump()) for one in self.groups}) > 1:
            raise ValueError("the groups have different quantities")
        return self


class _ScoreConfig(_Section):
    judge: str


class _DataInputs(_Section):
    data: str


class _Score(_Section):
    config: _ScoreConfig
    inputs: _DataInputs
    headline: _ScoreHeadline


class _GenerateHeadline(_Section):
    texts: Whole
    empty: Whole
    ended_by_itself: Whole


class _Generate(_Section):
    headline: _GenerateHeadline


class _Ingest(_Section):
    inputs: _DataInputs


class _Compared(_Section):
    sentence: str
    verdict: Literal["improved", "no worse", "inconclusive", "worse"]


class _Rated(_Section):
    judge: str


class _Report(_Section):
    headline: _Compared | _Rated


_STAGES: dict[str, type[BaseModel]] = {
    "ingest": _Ingest,
    "train": _Train,
    "generate": _Generate,
    "score": _Score,
    "report": _Report,
}
