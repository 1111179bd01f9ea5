"""The stages of a run of stored vectors: as those of images, without decoding and encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from tuiprobe.catalog.labels import imagenet_labels
from tuiprobe.errors import DataError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError, sweep
from tuiprobe.manifest import write_named, write_record
from tuiprobe.measure.clock import Clock
from tuiprobe.measure.embeddings.extract import RowExtraction, digest_of_rows
from tuiprobe.measure.embeddings.merge import MergedRows, merge_rows, write_rows
from tuiprobe.measure.embeddings.plan import row_set, row_shards
from tuiprobe.measure.embeddings.shard_io import RowShardReader
from tuiprobe.measure.embeddings.shards import SAMPLED_ROWS, RowShard
from tuiprobe.measure.merge import MergedSet, write_merged
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.preflight import head_row_checks
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.resume import Inventory, UnusableShardError
from tuiprobe.measure.stages import Answer, Stages
from tuiprobe.models.preflight_data import check_labels
from tuiprobe.probes.robustness.baselines import keep_baseline
from tuiprobe.results import Report
from tuiprobe.results.subject import PreflightCheck
from tuiprobe.run.counting import published_shards
from tuiprobe.run.directory import RunDir
from tuiprobe.run.preflight_file import write_preflight
from tuiprobe.run.records import PlanRecord, SetRecord, TapRecord, read_plan
from tuiprobe.spec import FINAL_TAP


class RowStages(Stages):
    """The stages of a planned run of stored vectors; see `Stages`."""

    def __init__(
        self,
        plan: Plan,
        directory: RunDir,
        rank: Rank,
        clock: Clock,
        listen: Listener,
        answer: Answer,
    ) -> None:
        super().__init__(plan, directory, rank, clock, listen, answer)
        self._rows = RowShardReader(plan, directory, self._fingerprint)
        self._row_extraction: RowExtraction | None = None

    def prepare(self, mix: bool) -> None:
        """Creates or resumes the directory and determines the missing shards."""
        plan, directory = self.plan, self._directory
        self._rows = replace(self._rows, mix=mix)
        directory.create(plan.key)
        directory.cancel_file.unlink()
        self._status.begin()
        sweep(directory.path)
        shards = [one for name in plan.shards for one in row_shards(plan, name)]
        own = self._rank.share(shards)
        missing = self._unusable(shards, own)
        published = [one for one in shards if one not in missing]
        self._compare(published)
        if self._rank.number == 0 or not directory.plan_file.exists():
            self._write_records(anew=True)
            keep_baseline(directory, record_of_rows(plan).sets, plan.spec.baseline)
        for name, rows in ((name, row_set(plan, name)) for name in plan.suite.sets):
            count = rows.vectors.matrix.rows
            if rows.understood:
                self._say("stage", rows.understood)
            if count > SAMPLED_ROWS:
                said = f"{name}: moments and top rows are of all {count:,} rows; figures that "
                said += f"need vectors are of a seeded sample of {SAMPLED_ROWS:,}"
                self._say("stage", said)
        self._preflight(self._rank.number)
        mine = tuple(one for one in missing if one in own)
        self._resume(Inventory(mine, tuple(published), 0), "rows")

    def _measure(self) -> None:
        if self._row_extraction is None:
            rows = sum(shard.size for shard in self.missing)
            self._say("stage", f"measuring {rows} rows", stage="extract")
            self._row_extraction = RowExtraction(
                self.plan, self._directory, self._fingerprint, self._live_view(), self._stop
            )  # fmt: skip
        with self.extracting():
            self._row_extraction.run(self.missing)

    def _unusable(
        self, shards: Sequence[RowShard], own: Sequence[RowShard] | None = None
    ) -> list[RowShard]:
        """Returns the shards that are missing or not to be used; deletes the latter.

        Args:
            shards: The shards to check.
            own: Those of this rank, the only ones that it deletes; None for all.
        """
        missing = []
        for shard in shards:
            file = self._directory.shard_file(*shard.place)
            if not file.exists():
                missing.append(shard)
                continue
            try:
                self._rows.read(shard)
            except UnusableShardError as error:
                missing.append(shard)
                if own is None or shard in own:
                    self._listen(Event("warning", f"{error}; it must be measured again", {}))
                    file.unlink()
        return missing

    def _compare(self, published: Sequence[RowShard]) -> None:
        """Checks that published shards were measured on the rows that the files hold now.

        Files are read again if they were moved, touched or written since.

        Raises:
            DataError: If rows differ.
        """
        recorded = self._recorded()
        doubtful = [
            one
            for one in published
            if recorded.get(one.set_name) != row_set(self.plan, one.set_name).record()
        ]
        if doubtful:
            count = sum(one.size for one in doubtful)
            said = f"comparing {count:,} rows with what was measured"
            self._say("stage", said, stage="compare")
        for shard in doubtful:
            rows = row_set(self.plan, shard.set_name)
            if digest_of_rows(rows, shard) != self._rows.read(shard).digest:
                raise DataError(
                    f"rows {shard.start:,} to {shard.stop - 1:,} of {rows.source} are not those "
                    f"that {self._directory.path} was begun with: choose another --output, or "
                    "--fresh to measure all rows anew"
                )

    def _recorded(self) -> dict[str, object]:
        try:
            return {one.name: one.rows for one in read_plan(self._directory).sets}
        except DamagedFileError:
            return {}

    def _write_plan(self) -> None:
        """Publishes `plan.json`, and a `samples.jsonl` without samples."""
        plan, directory = self.plan, self._directory
        write_named(directory.samples_file, "")
        write_record(directory.plan_file, record_of_rows(plan).model_dump(mode="json"))

    def _preflight(self, rank: int) -> None:
        plan = self.plan
        found = []
        for name, rows in ((name, row_set(plan, name)) for name in plan.suite.sets):
            count, named = rows.vectors.matrix.rows, plan.spec.classes is not None
            said = f"{count:,} rows of {plan.encoder.width:,} channels, {rows.vectors.matrix.dtype}"
            found.append(PreflightCheck(name="vectors", status="pass", detail=said, data=name))
            found += _label_checks(name, rows.classes, count, named)
        found += head_row_checks(plan, plan.head)
        if rank == 0:
            write_preflight(self._directory, found)

    def _merged(self, hurried: bool) -> dict[str, MergedSet]:
        """Merges the published shards of all ranks; see `Stages`."""
        self._say("stage", "merging", stage="merge")
        there = published_shards(self._directory) if hurried else None
        found = {
            name: [s for s in row_shards(self.plan, name) if there is None or s.place in there]
            for name in self.plan.shards
        }
        unusable = self._unusable([one for shards in found.values() for one in shards])
        if unusable and not hurried:
            self.missing = list(unusable)
            self.extract()
        if unusable and (hurried or self._interrupted):
            self._say("warning", "merged without the shards that must be measured again")
            found = {n: [s for s in shards if s not in unusable] for n, shards in found.items()}
        return {name: merge_rows(self._rows, shards) for name, shards in found.items() if shards}

    def _write_merged(self, merged: dict[str, MergedSet]) -> None:
        rows = {name: one for name, one in merged.items() if isinstance(one, MergedRows)}
        written = write_rows(self.plan, self._directory, rows)
        write_merged(self._directory, self.plan.key, merged, written)

    def _thumbnails(self, name: str, merged: MergedSet) -> None:
        """Writes none: rows have no pictures."""

    def _exemplars(self, report: Report) -> None:
        """Writes none: rows have no pictures."""


def record_of_rows(plan: Plan) -> PlanRecord:
    """Returns the record of a plan of stored vectors."""
    final = TapRecord(name=FINAL_TAP, kind="vector", tokens=None, channels=plan.encoder.width)
    sets = []
    for name in plan.suite.sets:
        rows = row_set(plan, name)
        count = rows.vectors.matrix.rows
        sets.append(
            SetRecord(
                name=name,
                source=rows.source,
                found=count,
                planned=count,
                shards=len(plan.shards[name]),
                shard_images=plan.shards[name][0].size,
                classes=rows.classes,
                notes=rows.notes,
                key=plan.set_keys[name],
                target=rows.target,
                rows=rows.record(),
            )
        )
    return PlanRecord(
        key=plan.key,
        model=plan.model,
        taps=(final,),
        blocks=(),
        all_blocks=False,
        sets=tuple(sets),
    )


def _label_checks(
    name: str, classes: Sequence[str], rows: int, named: bool
) -> Iterator[PreflightCheck]:
    """Yields what the labels of vectors mean; a set of vectors is never an incomplete ImageNet."""
    numbers = bool(classes) and all(one.isdigit() for one in classes)
    if numbers and imagenet_labels(classes) is None:
        yield PreflightCheck(
            name="label map",
            status="pass" if named else "warn",
            detail=f"{len(classes):,} numbered labels" + ("" if named else ", names unknown"),
            fix="" if named else "give the names in label order by --classes FILE",
            cause="labels",
            data=name,
        )
        return
    for one in check_labels(classes, rows, named=named):
        if one.name != "image count":
            yield PreflightCheck(**{**asdict(one), "cause": "labels"}, data=name)
