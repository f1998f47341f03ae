"""The page is written from results, with its pictures."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks.detection.command import main
from benchmarks.detection.evaluation.recorded import evaluate_recorded, rows_of
from benchmarks.detection.evaluation.running import Result, evaluate, evaluate_by_command, in_parallel
from benchmarks.detection.report.page import Run, write
from benchmarks.detection.scenarios.mechanism import PATTERNS
from benchmarks.detection.scenarios.split import Split

_SEED = Split.TUNE.seeds[22]


def _same(one: Result, other: Result) -> bool:
    return (one.label, one.judgement, one.naive, one.bins) == (other.label, other.judgement, other.naive, other.bins)


def test_the_real_command_and_the_reader_in_this_process_say_the_same() -> None:
    assert _same(evaluate(_SEED), evaluate_by_command(_SEED))


def test_processes_beside_each_other_give_the_same_results(tmp_path: Path) -> None:
    seeds = [_SEED, Split.TUNE.seeds[15]]
    one, other = list(in_parallel(evaluate, seeds, 1)), list(in_parallel(evaluate, seeds, 2))
    assert all(_same(*pair) for pair in zip(one, other, strict=True))
    path = tmp_path / "accuracy.md"
    write(Run(one, [], None, "a command", 60.0), path)
    text = path.read_text()
    assert all(f"`{pattern.upper()}`" in text for pattern in PATTERNS)
    for name in ("confusion", "reliability"):
        assert f"(accuracy-{name}.svg)" in text
        assert ElementTree.parse(tmp_path / f"accuracy-{name}.svg").getroot().tag.endswith("svg")


def test_recordings_are_generated_with_labels_that_an_evaluation_reads(tmp_path: Path) -> None:
    assert main(["generate", str(tmp_path), "--failing", "1"]) == 0
    (labelled,) = rows_of(tmp_path)
    assert labelled[0].name == f"tune-{Split.TUNE.seeds[0]}.jsonl.gz"
    direct = evaluate(Split.TUNE.seeds[0])
    result = evaluate_recorded(labelled)
    assert result.label.faults == direct.label.faults
    assert result.judgement == direct.judgement
