"""The compact network of the member `convnet` compared with the small ResNet: CPU cost, and a short training.

Run ``python benchmarks/convnet.py``. The first tables show the processor time of one thread, which hardly depends on
other load: of the networks, and of torch and onnxruntime. The compact network is then trained on 2,048 simulated
scenes of all surveys for three epochs. This shows that it learns, but with so few scenes not how well a full training
finds lenses. Needs ``gridlens[deep]``.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from _scenes import Scenes, cached_cutouts
from _timing import processor_ms
from deep import MEASURES
from gridlens_deep import ConvNetMember, NetworkMember, ResNetMember
from gridlens_deep._devices import threads
from gridlens_deep._fitted import onnx_model
from gridlens_deep._networks import build_network, state_of
from gridlens_deep._onnx_runtime import OnnxRuntime
from gridlens_deep._store import Images
from gridlens_deep._torch_runtime import TorchRuntime

from gridlens.cutouts._surveys import SIMULATED_SURVEYS

BATCHES = (1, 8, 32)
REPEATS = 5
# Endings of the names of parameters; the other arrays are statistics of the normalisation.
LEARNED = (".weight", ".bias")


def networks(epochs: int) -> dict[str, NetworkMember]:
    """Return the members of the table of costs, by name."""
    options = {"epochs": epochs, "validation_fraction": 0.0, "device": "cpu"}
    return {
        'convnet("compact")': ConvNetMember("compact", **options),
        'convnet("equivariant")': ConvNetMember("equivariant", **options),
        'convnet("wide")': ConvNetMember("wide", **options),
        'resnet("10"), 64 px': ResNetMember("10", size=64, pixel_scale=1.0, **options),
        'resnet("10"), 96 px': ResNetMember("10", size=96, pixel_scale=64.0 / 96.0, **options),
    }


def print_costs(rows: Scenes) -> None:
    """Print the processor time per image of preparing, of one training epoch and of scoring."""
    print("| network | parameters | preparing | training | scoring, eight turns |\n|---|---|---|---|---|", flush=True)
    for name, member in networks(1).items():
        member.fit(rows[:64].cutouts, rows.label[:64])  # Imports and compilation are not timed.
        images, preparing = processor_ms(partial(member.prepare, rows.cutouts), len(rows.label))
        _, training = processor_ms(partial(member.fit, images, rows.label), len(rows.label))
        _, scoring = processor_ms(partial(member.predict_proba, images), len(rows.label))
        n_parameters = sum(value.size for key, value in member.network_.state.items() if key.endswith(LEARNED))
        print(f"| {name} | {n_parameters:,} | {preparing:.1f} | {training:.1f} | {scoring:.1f} |", flush=True)


def print_runtimes(name: str) -> None:
    """Print the processor time of one view with torch and onnxruntime, and the difference in log-odds."""
    settings = networks(1)[name].settings
    torch.manual_seed(0)
    state = state_of(build_network(settings))
    module, session = TorchRuntime(state, settings).network, OnnxRuntime(onnx_model(state, settings), 1)
    weights = state["last.weight"][0]
    images = np.random.default_rng(0).normal(size=(max(BATCHES), 4, settings.size, settings.size)).astype(np.float32)

    @torch.inference_mode()
    def by_torch(mixed: bool, some: np.ndarray) -> np.ndarray:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            return module.embed(torch.from_numpy(some)).float().numpy()

    runtimes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "torch, float32": partial(by_torch, False),
        "torch, bfloat16": partial(by_torch, True),
        "onnxruntime, float32": lambda some: session.embeddings(some, (0,))[0],
    }
    print(
        f"\n| one view of {name} with | "
        + " | ".join(f"batch of {n}" for n in BATCHES)
        + " | largest difference in log-odds |"
    )
    print("|---" * (len(BATCHES) + 2) + "|")
    expected = runtimes["torch, float32"](images) @ weights
    with threads(1):
        for name, runtime in runtimes.items():
            off = np.abs(runtime(images) @ weights - expected).max()
            best = [min(processor_ms(partial(runtime, images[:n]), n)[1] for _ in range(REPEATS)) for n in BATCHES]
            print(f"| {name} | " + " | ".join(f"{ms:.2f}" for ms in best) + f" | {off:.1e} |", flush=True)


def print_turns(member: NetworkMember, images: Images, label: np.ndarray) -> None:
    """Print the metrics of a member with fewer turns, and the deviation of its log-odds from the mean over eight."""
    expected = member.set_params(turns=8).decision_function(images)
    print("| turns | " + " | ".join(MEASURES) + " | deviation in log-odds |\n" + "|---" * (len(MEASURES) + 2) + "|")
    for turns in (8, 4, 2, 1):
        z = member.set_params(turns=turns).decision_function(images)
        measures = " | ".join(str(of(label, z)) for of in MEASURES.values())
        print(f"| {turns} | {measures} | {np.sqrt(np.mean((z - expected) ** 2)):.3f} |", flush=True)


def main() -> None:
    """Print the tables of costs and of the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2048, help="training scenes")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the training")
    parser.add_argument("--held-out", type=int, default=1024, help="test scenes")
    arguments = parser.parse_args()
    surveys = tuple(SIMULATED_SURVEYS)
    train, test = cached_cutouts(arguments.scenes, 411, surveys), cached_cutouts(arguments.held_out, 413, surveys)
    print(f"Processor time of one thread per image, ms; torch {torch.__version__}\n")
    print_costs(train[:192])
    for name in ('convnet("compact")', 'convnet("equivariant")'):
        print_runtimes(name)
    name = next(iter(networks(arguments.epochs)))
    member = networks(arguments.epochs)[name].fit(train.cutouts, train.label)
    images = member.prepare(test.cutouts)
    scored = np.isfinite(member.predict_proba(images)[:, 1])
    print(f"\n{name}, {arguments.scenes:,} scenes, {arguments.epochs} epochs; {scored.sum():,} held-out scenes\n")
    print_turns(member, images[scored], test.label[scored])


if __name__ == "__main__":
    main()
