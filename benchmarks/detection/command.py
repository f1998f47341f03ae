"""How well failures are recognised.

python -m benchmarks.detection report [--quick] [--days 30] [--failing 246] [--data DIR] [--output FILE]
python -m benchmarks.detection fit              how sure the detectors may be, from fitting and tuning seeds
python -m benchmarks.detection tune             choose the simple thresholds on the tuning seeds
python -m benchmarks.detection generate DIR     write recordings with their labels
python -m benchmarks.detection show SEED        one scenario: what happened and what was said
python -m benchmarks.detection list             mechanisms and benign events
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.detection.evaluation import calibrating, naive, recorded
from benchmarks.detection.evaluation import cost as costs
from benchmarks.detection.evaluation.running import Result, evaluate, evaluate_by_command, in_parallel, try_settings
from benchmarks.detection.report import page, rows
from benchmarks.detection.scenarios.background import BACKGROUNDS
from benchmarks.detection.scenarios.labels import write_labels
from benchmarks.detection.scenarios.mechanism import MECHANISMS, PATTERNS
from benchmarks.detection.scenarios.scenario import Scenario
from benchmarks.detection.scenarios.split import Split

_PAGE = Path("docs/reference/accuracy.md")
_RECORDINGS_A_DAY = 4
_QUICK_FAILING, _QUICK_HEALTHY = 42, 1
_TUNING_FAILING, _TUNING_HEALTHY = 96, 8


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    commands = {"report": _report, "fit": _fit, "tune": _tune, "generate": _generate, "show": _show, "list": _list}
    return commands[options.command](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="scenarios at a time")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="evaluate, and write the page")
    report.add_argument("--quick", action="store_true", help="a small sample: too small to quote")
    report.add_argument("--days", type=float, default=30.0, help="days of healthy systems")
    report.add_argument("--failing", type=int, default=246, help="recordings in which something fails")
    report.add_argument("--data", type=Path, help="labelled recordings of real systems, evaluated besides")
    report.add_argument("--by-command", action="store_true", help="through files and the real command: slower")
    report.add_argument("--split", type=Split, choices=list(Split), default=Split.REPORT)
    report.add_argument("--output", type=Path, default=_PAGE)
    report.add_argument("--results", type=Path, help="also write what was found in each recording, one a line")
    fit = commands.add_parser("fit", help="fit the detectors' confidences, and print the knots")
    fit.add_argument("--failing", type=int, default=240)
    fit.add_argument("--healthy", type=int, default=16, help="recordings of six hours")
    fit.add_argument("--pattern", choices=PATTERNS, help="one pattern's only")
    commands.add_parser("tune", help="choose the simple thresholds")
    generate = commands.add_parser("generate", help="write recordings with their labels")
    generate.add_argument("folder", type=Path)
    generate.add_argument("--split", type=Split, choices=list(Split), default=Split.TUNE)
    generate.add_argument("--failing", type=int, default=12)
    generate.add_argument("--healthy", type=int, default=0)
    show = commands.add_parser("show", help="one scenario")
    show.add_argument("seed", type=int)
    show.add_argument("--by-command", action="store_true")
    commands.add_parser("list", help="mechanisms and benign events")
    return parser


def _report(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    failing = _QUICK_FAILING if options.quick else options.failing
    healthy = _QUICK_HEALTHY if options.quick else round(_RECORDINGS_A_DAY * options.days)
    seeds = [*options.split.healthy(healthy), *options.split.failing(failing)]
    work = evaluate_by_command if options.by_command else evaluate
    results = list(in_parallel(work, seeds, options.jobs))
    real: list[Result] = []
    if options.data is not None:
        real = list(in_parallel(recorded.evaluate_recorded, recorded.rows_of(options.data), options.jobs))
    cost = costs.measure()
    command = f"python -m benchmarks.detection report{' --quick' if options.quick else ''}"
    run = page.Run(results, real, cost, command, time.perf_counter() - began)
    page.write(run, options.output)
    print(options.output)
    if options.results is not None:
        options.results.write_text("".join(f"{json.dumps(rows.of(result))}\n" for result in (*results, *real)))
        print(options.results)
    return 0


def _fit(options: argparse.Namespace) -> int:
    seeds = [seed for split in (Split.FIT, Split.TUNE) for seed in split.failing(options.failing)]
    seeds = [*Split.FIT.healthy(options.healthy), *seeds]
    seen = [item for found in in_parallel(calibrating.evidence, seeds, options.jobs) for item in found]
    shipped = calibrating.shipped()
    for name, knots in calibrating.fit(seen, shipped).items():
        if options.pattern in (None, name.partition(".")[0]):
            print(f"{name}\n  was {shipped[name]}\n  now {knots}")
    return 0


def _tune(options: argparse.Namespace) -> int:
    seeds = [*Split.TUNE.failing(_TUNING_FAILING), *Split.TUNE.healthy(_TUNING_HEALTHY)]
    totals = {setting: naive.Count() for setting in naive.all_settings()}
    for counts in in_parallel(try_settings, seeds, options.jobs):
        for setting, count in counts.items():
            total = totals[setting]
            total.found += count.found
            total.missed += count.missed
            total.false += count.false
    chosen = naive.choose(totals)
    for setting in chosen:
        print(f"{setting.pattern:25} {setting.variant:12} {setting.threshold:6g}  F1 {totals[setting].f1:.2f}")
    naive.CHOSEN.write_text(json.dumps([setting._asdict() for setting in chosen], indent=1) + "\n")
    return 0


def _generate(options: argparse.Namespace) -> int:
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in (*options.split.failing(options.failing), *options.split.healthy(options.healthy)):
        scenario = Scenario(seed)
        name = f"{scenario.name}.jsonl.gz"
        with gzip.open(options.folder / name, "wt", compresslevel=3) as file:
            file.writelines(f"{line}\n" for line in scenario.lines())
        rows.append(scenario.label().to_json(name))
        print(options.folder / name)
    write_labels(options.folder / "labels.jsonl", rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    result = (evaluate_by_command if options.by_command else evaluate)(options.seed)
    start = result.label.start
    print(json.dumps(result.label.facts))
    for number, fault in enumerate(result.label.faults):
        hit = result.judgement.hits.get(number)
        print(
            f"{fault.onset - start:7.0f} - {fault.end - start:.0f} s  {fault.pattern}: {fault.mechanism} "
            f"at {', '.join(fault.sources[:6])}: {'not visible' if not fault.visible else hit or 'missed'}"
        )
    for name, alarms in (("false", result.judgement.false), ("tolerated", result.judgement.tolerated)):
        for alarm in alarms:
            named = ", ".join(alarm.sources(alarm.until)[:6])
            print(f"{alarm.at - start:7.0f} - {alarm.until - start:.0f} s  {name}: {alarm.pattern} at {named}")
    print(json.dumps(result.summary))
    for complaint in result.complaints:
        sys.stderr.write(f"{complaint}\n")
    return 0


def _list(_options: argparse.Namespace) -> int:
    for pattern in PATTERNS:
        print(pattern)
        for item in MECHANISMS.values():
            if item.pattern == pattern:
                meaning = (item.run.__doc__ or "").strip()
                print(f"    {item.name} ({', '.join(sorted(item.splits))}): {meaning}")
    print("benign")
    for event in BACKGROUNDS.values():
        meaning = (event.run.__doc__ or "").strip()
        print(f"    {event.name}{' (report only)' if event.held_out else ''}: {meaning}")
    return 0
