"""Networks beside the classic members: how well each finds lenses, alone and in one stack, and how long it takes.

Run ``python benchmarks/deep.py``: 4,000 scenes at 64 px and the small networks, on a CPU. With a GPU, the full table
is made by ``python benchmarks/deep.py --scenes 32768 --size 128 --pixel-scale 0.5 --resnet 18 --vit small --epochs 30
--held-out 2048 --jobs -1 --tree-jobs -1``. All members learn the same scenes of all surveys but one; the stack's
weights come from scenes that no member has seen; the tables are of others, and of the survey that was left out. Needs
``gridlens[deep]``.
"""

import argparse
import time
from copy import copy
from functools import partial

import numpy as np
import torch
from _scenes import Scenes, cached_cutouts
from gridlens_deep import ResNetMember, ViTMember

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.evaluation import auroc, compare, tpr_at_fpr
from gridlens.features import GridPatchExtractor
from gridlens.members import LightGBMMember, PatchMember
from gridlens.stacking._meta import fit_meta
from gridlens.stacking._stack import member_log_odds
from gridlens.training import RECIPES

RECIPE = RECIPES["default"]
LEFT_OUT = "kids"
OWN = tuple(name for name in SIMULATED_SURVEYS if name != LEFT_OUT)
MEASURES = {"AUROC": partial(auroc, n_boot=300), "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01, n_boot=300)}
STACKS = {
    "classic stack": ("lightgbm", "patch"),
    "classic + resnet": ("lightgbm", "patch", "resnet"),
    "classic + vit": ("lightgbm", "patch", "vit"),
    "stack of all": ("lightgbm", "patch", "resnet", "vit"),
}


def looked_at(member: object, rows: Scenes) -> object:
    """What the member consumes of the rows."""
    return rows.cutouts if member.consumes == "cutouts" else rows.features_with(RECIPE.metadata)


def seconds_for(call: object) -> tuple[object, float]:
    """What a call returns, and how long it took."""
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


def processor_ms(member: object, rows: Scenes) -> float:
    """Processor time of one thread that scores a cutout on the CPU, ms: it says the same on a busy machine."""
    here = copy(member).set_params(device="cpu", n_jobs=1)
    start = time.process_time()
    here.predict_proba(rows.cutouts[:256])
    return 1e3 * (time.process_time() - start) / 256


def table(title: str, y: np.ndarray, scores: dict[str, np.ndarray], ms: dict[str, float]) -> None:
    """Print how well each finds lenses, and the paired difference to the classic stack."""
    print(f"\n### {title}\n")
    head = ["", *MEASURES, "ms per cutout", *(f"{name}, against the classic stack" for name in MEASURES)]
    print(f"| {' | '.join(head)} |")
    print("|" + "---|" * len(head), flush=True)
    for name, score in scores.items():
        cells = [str(measure(y, score)) for measure in MEASURES.values()]
        gains = ["", ""]
        if name != "classic stack":
            found = compare(y, scores["classic stack"], score, MEASURES, n_boot=300).values()
            gains = [
                one.difference.note
                or f"{one.difference.value:+.3f} [{one.difference.low:+.3f}, {one.difference.high:+.3f}]"
                for one in found
            ]
        print(f"| {name} | {' | '.join(cells)} | {ms[name]:.1f} | {' | '.join(gains)} |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4000, help="scenes to learn from")
    parser.add_argument("--size", type=int, default=64, help="pixels that the networks see")
    parser.add_argument("--pixel-scale", type=float, default=1.0, help="arcsec per pixel of these")
    parser.add_argument("--resnet", default="10", help="variant of the member resnet")
    parser.add_argument("--vit", default="tiny", help="variant of the member vit")
    parser.add_argument("--epochs", type=int, default=12, help="at most")
    parser.add_argument(
        "--held-out", type=int, default=1024, help="scenes to test on, and half as many of the other survey"
    )
    parser.add_argument("--jobs", type=int, default=2, help="threads of the networks and of the features")
    parser.add_argument("--tree-jobs", type=int, default=1, help="threads of the trees: more pay on an idle machine")
    arguments = parser.parse_args()
    train = cached_cutouts(arguments.scenes, 401, OWN)
    half = arguments.held_out // 2
    weigh = cached_cutouts(1024, 403, OWN)[:half]
    tests = {
        "scenes held out": cached_cutouts(2048, 407, OWN)[: arguments.held_out],
        f"scenes of {LEFT_OUT}, which no model learned from": cached_cutouts(1024, 409, (LEFT_OUT,))[:half],
    }
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {arguments.jobs} threads"
    print(
        f"{len(train.label):,} scenes of {', '.join(OWN)}; resnet {arguments.resnet} and vit {arguments.vit} at "
        f"{arguments.size} px on {device}"
    )

    networks = {"size": arguments.size, "pixel_scale": arguments.pixel_scale, "epochs": arguments.epochs}
    networks["n_jobs"] = arguments.jobs
    members = [LightGBMMember(n_jobs=arguments.tree_jobs), PatchMember(n_jobs=arguments.tree_jobs)]
    members += [ResNetMember(arguments.resnet, **networks), ViTMember(arguments.vit, **networks)]
    weights = np.where(train.truth["arc_snr"].to_numpy() < RECIPE.faint_snr, RECIPE.faint_weight, 1.0)
    held = {title: {} for title in tests}
    ms, of_weigh = {}, {}
    head = (
        "member",
        "epochs",
        "training, images/s",
        "scoring in eight turns, images/s",
        "one thread, processor ms a cutout",
    )
    print(f"\n| {' | '.join(head)} |\n|" + "---|" * len(head), flush=True)
    for member in members:
        fit = partial(member.fit, looked_at(member, train), train.label, sample_weight=weights)
        _, fitting = seconds_for(fit)
        for title, rows in tests.items():
            p, scoring = seconds_for(partial(member.predict_proba, looked_at(member, rows)))
            held[title][member.name] = member_log_odds(p[:, 1])
            ms.setdefault(member.name, 1e3 * scoring / len(rows.label))
        of_weigh[member.name] = member_log_odds(member.predict_proba(looked_at(member, weigh))[:, 1])
        if member.consumes == "cutouts":
            epochs = len(member.history_)
            learned = epochs * (1.0 - member.validation_fraction) * len(train.label)
            print(
                f"| {member.name} | {epochs} | {learned / fitting:.1f} | {1e3 / ms[member.name]:.1f} | "
                f"{processor_ms(member, weigh):.1f} |",
                flush=True,
            )
    _, extracting = seconds_for(partial(GridPatchExtractor(n_jobs=arguments.jobs).transform, weigh.cutouts))
    for name in ("lightgbm", "patch"):
        ms[name] += 1e3 * extracting / len(weigh.label)
    chosen = {}
    for title, names in STACKS.items():
        meta, intercept = fit_meta("logistic", np.column_stack([of_weigh[name] for name in names]), weigh.label)
        chosen[title] = (names, meta, intercept)
        # Features are extracted once for both classic members.
        ms[title] = sum(ms[name] for name in names) - 1e3 * extracting / len(weigh.label)
        print(f"\n{title}: {', '.join(f'{name} {w:.2f}' for name, w in zip(names, meta, strict=True))}", flush=True)
    for title, rows in tests.items():
        scores = dict(held[title])
        for stack, (names, meta, intercept) in chosen.items():
            scores[stack] = np.column_stack([held[title][name] for name in names]) @ meta + intercept
        usable = np.isfinite(np.column_stack(list(scores.values()))).all(axis=1)
        ordered = {name: scores[name][usable] for name in ("lightgbm", "patch", "resnet", "vit", *STACKS)}
        table(f"{usable.sum():,} {title}", rows.label[usable], ordered, ms)


if __name__ == "__main__":
    main()
