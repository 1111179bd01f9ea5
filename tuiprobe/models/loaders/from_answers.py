"""Answers in place of a model, `answers:FILE`: a table with the class of each picture.

Whatever gave them has no representation here. What goes to the engine for a picture is the
logarithm of its probabilities, and the head is the identity, so accuracies, calibration,
estimates and labels are computed as for any other model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tuiprobe.datasets.dataset import Dataset, Suite, WrappedDataset
from tuiprobe.datasets.layout import Ids
from tuiprobe.datasets.sample import Content, Sample
from tuiprobe.errors import DataError, RunError, UnreadableImageError, UsageError
from tuiprobe.files import expand_home
from tuiprobe.limits import CLASSES
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo
from tuiprobe.models.loaders.answer_table import AnswerTable, LogProbabilities
from tuiprobe.models.registry import Loader, ModelRequest


class AnsweredSet(WrappedDataset):
    """A set of pictures whose content stands for the answers on them.

    Args:
        images: The set.
        values: What goes to the engine, by sample id.
        digests: SHA-256 of the pictures that were answered, by sample id, as far as it is known.
        rows: Row of the table of answers, by sample id.
    """

    def __init__(
        self,
        images: Dataset,
        values: Mapping[int, LogProbabilities],
        digests: Mapping[int, str],
        rows: Mapping[int, int],
    ) -> None:
        super().__init__(images)
        self._values, self._digests, self.answer_rows = values, digests, rows

    def read(self, sample: Sample) -> Content:
        """Reads a picture, with the answer on it as what goes to the encoder.

        Raises:
            UnreadableImageError: If it cannot be read.
            DataError: If another picture was answered.
        """
        content = self.images.read(sample)
        if sample.id not in self._values:
            raise UnreadableImageError("it has no answer, and cannot be decoded")
        digest = self._digests.get(sample.id)
        if digest and digest != content.digest().hex():
            raise DataError(f"{sample.path} of {self.source} is not the picture that was answered")
        return replace(content, prepared=torch.from_numpy(self._values[sample.id]))


def _answered(
    table: AnswerTable, classes: Sequence[str], suite: Suite, order: Mapping[str, Ids]
) -> Suite:
    """Returns a suite whose pictures are replaced by the answers on them.

    Raises:
        UsageError: If it has a set of concepts, of which answers tell nothing.
        DataError: As for `AnswerTable.rows_of`.
    """
    if suite.concept_set is not None:
        raise UsageError(
            "concepts need a representation, and answers have none: add --concepts none"
        )
    values, sha256 = table.log_probabilities(classes), table.table.column("sha256")
    sets: dict[str, Dataset] = {}
    for name, rows in table.rows_of(suite, order).items():
        of_rows = {i: values[row] for i, row in rows.items()}
        digests = {i: sha256[row].lower() for i, row in rows.items()}
        sets[name] = AnsweredSet(suite.sets[name], of_rows, digests, rows)
    return replace(suite, sets=sets, notes=(*suite.notes, *table.notes(classes, suite.sets)))


def load(request: ModelRequest) -> Encoder:
    """Reads a table of answers as an encoder.

    Raises:
        UsageError: If a floating point type is asked for.
        DataError: If the table cannot be used.
    """
    if request.dtype != torch.float32:
        raise UsageError("--dtype belongs to a network, and answers have none")
    table = AnswerTable.read(expand_home(request.rest))
    classes = request.classes or table.names
    if not 2 <= len(classes) <= CLASSES:
        raise DataError(
            f"{table.table.source} names {len(classes)} classes; name them by --classes"
        )
    module = nn.Identity()
    encoder = Encoder(
        name=request.name,
        architecture="answers",
        representation="none",
        width=len(classes),
        weights=WeightsInfo(
            kind="answers", source=str(table.table.source), digest=table.table.digest
        ),
        preprocessing=PreprocessingInfo(
            size=(1, 1), mean=(), std=(), interpolation="", source=request.name, known=False
        ),
        module=module,
        preprocess=_refuse,
        forward=module,
        device=request.device,
        loader="answers",
        classifier=Head(
            torch.eye(len(classes)),
            None,
            tuple(classes),
            normalize=not table.confident,  # then nothing tells the scale of its logits
            source=f"answers on {len(classes)} classes",
        ),
    )
    encoder.with_answers = lambda suite, order: _answered(table, classes, suite, order)
    return encoder


def _refuse(image: Any) -> torch.Tensor:
    raise RunError("answers were given and not their model: no image can be measured")


LOADER = Loader(forms=("answers:FILE.csv",), load=load, takes_checkpoint=False)
