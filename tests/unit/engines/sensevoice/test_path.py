"""The best CTC path: runs of one token, blanks left away, probabilities as softmax gives them."""

import math

import pytest
import torch

from lingting.engines.sensevoice.path import best_path, geometric_mean, log_probability


def _logits(classes: list[int], strengths: list[float], count: int = 6) -> torch.Tensor:
    logits = torch.zeros(len(classes), count)
    for frame, (token, strength) in enumerate(zip(classes, strengths, strict=True)):
        logits[frame, token] = strength
    return logits


def test_runs_and_blanks() -> None:
    classes = [0, 3, 3, 0, 3, 5, 5, 0]
    path = best_path(_logits(classes, [1.0, 2.0, 4.0, 1.0, 1.0, 3.0, 2.0, 1.0]))
    assert [(one.token, one.first, one.end) for one in path] == [(3, 1, 3), (3, 4, 5), (5, 5, 7)]
    surest = [4.0, 1.0, 3.0]
    for one, strength in zip(path, surest, strict=True):
        expected = strength - math.log(math.exp(strength) + 5)
        assert one.log_probability == pytest.approx(expected, abs=1e-6)


def test_nothing_but_blanks() -> None:
    assert best_path(_logits([0, 0], [1.0, 1.0])) == []
    assert geometric_mean([]) is None


def test_confidence_is_the_geometric_mean() -> None:
    path = best_path(_logits([1, 2], [2.0, 0.5]))
    chances = [math.exp(one.log_probability) for one in path]
    assert geometric_mean(path) == pytest.approx(math.sqrt(chances[0] * chances[1]))


def test_probability_of_one_class_in_any_numbers() -> None:
    row = torch.tensor([1.0, 3.0, -2.0])
    assert log_probability(row, 1) == pytest.approx(float(row.log_softmax(0)[1]))
    assert log_probability(row.bfloat16(), 1) == pytest.approx(float(row.log_softmax(0)[1]))
