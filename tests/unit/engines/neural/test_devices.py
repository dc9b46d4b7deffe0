"""Where models run, in which numbers, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lingting.engines.neural import devices
from lingting.errors import EngineFailed, OptionInvalid

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "device", "name", "dtype", "int8"),
    [
        ("auto", CPU, "int8", torch.float32, True),
        ("int8", CPU, "int8", torch.float32, True),
        ("bf16", CPU, "bfloat16", torch.bfloat16, False),
        ("bfloat16", CUDA, "bfloat16", torch.bfloat16, False),
        ("fp32", CUDA, "float32", torch.float32, False),
        ("auto", torch.device("mps"), "float32", torch.float32, False),
    ],
)
def test_numbers_by_name(
    asked: str, device: torch.device, name: str, dtype: torch.dtype, int8: bool
) -> None:
    assert devices.choose_compute(asked, device) == devices.Compute(name, dtype, int8)


@pytest.mark.parametrize("asked", ["float16", "fp16", "half"])
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_float16_is_refused_with_the_reason(asked: str, device: torch.device) -> None:
    with pytest.raises(OptionInvalid, match="range of float16") as caught:
        devices.choose_compute(asked, device)
    assert "bfloat16" in caught.value.next_step


@pytest.mark.parametrize(("asked", "device"), [("int8", CUDA), ("int4", CPU), ("", CPU)])
def test_numbers_that_cannot_be(asked: str, device: torch.device) -> None:
    with pytest.raises(OptionInvalid):
        devices.choose_compute(asked, device)


def test_cuda_that_knows_no_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has_bfloat16, name in ((True, "bfloat16"), (False, "float32")):

        def supported(including_emulation: bool = True, found: bool = has_bfloat16) -> bool:
            return found or including_emulation

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
        assert devices.choose_compute("auto", CUDA).name == name


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose("cpu") == CPU
    assert devices.choose("auto") == CUDA
    assert devices.choose("cuda:1") == torch.device("cuda", 1)
    for asked in ("cuda:2", "cuda:", "cuda:x", "gpu", "", "cpu:0:1", "npu"):
        if asked == "cuda:":  # as PyTorch writes it, the first one
            continue
        with pytest.raises(OptionInvalid):
            devices.choose(asked)


def test_a_machine_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(OptionInvalid, match="0 CUDA devices"):
        devices.choose("cuda")


def test_free_memory_is_the_containers_where_that_is_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert devices.free_bytes(CPU) > 0
    monkeypatch.setattr(devices, "_available_bytes", lambda: 5000)
    monkeypatch.setattr(devices, "_container_bytes", lambda: iter([300]))
    assert devices.free_bytes(CPU) == 300
    monkeypatch.setattr(devices, "_container_bytes", lambda: iter(()))
    assert devices.free_bytes(CPU) == 5000


def test_threads_are_the_callers_again_afterwards() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    def fail() -> None:
        with devices.using_threads(before + 1):
            seen.append(torch.get_num_threads())
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        fail()
    assert (seen, torch.get_num_threads()) == ([before + 1], before)
    with devices.using_threads(None):
        assert torch.get_num_threads() == before


class Machine:
    """A device that holds so many items."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.calls: list[int] = []

    def run(self, batch: Sequence[int]) -> list[str]:
        self.calls.append(len(batch))
        if len(batch) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return [f"{item}!" for item in batch]


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    seen: list[torch.device] = []
    monkeypatch.setattr(devices, "release", seen.append)
    return seen


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("room", [1, 2, 3, 20])
def test_halves_until_it_fits(count: int, room: int, released: list[torch.device]) -> None:
    machine = Machine(room)
    found = devices.with_less_memory(machine.run, range(count), device=CUDA)
    assert found.results == [f"{item}!" for item in range(count)]
    assert found.notes == (("memory.halved",) if count > room else ())
    assert len(released) == sum(size > room for size in machine.calls)


def test_what_fits_nowhere_runs_on_the_cpu(released: list[torch.device]) -> None:
    machine = Machine(0)
    found = devices.with_less_memory(
        machine.run, [1, 2], device=CUDA, on_cpu=lambda part: [f"{item} slowly" for item in part]
    )
    assert found.results == ["1 slowly", "2 slowly"]
    assert found.notes == ("memory.halved", "memory.cpu")


def test_what_is_kept_is_let_go_before_each_smaller_try(released: list[torch.device]) -> None:
    forgotten: list[int] = []
    machine = Machine(1)
    devices.with_less_memory(
        machine.run, [1, 2, 3], device=CUDA, forget=lambda: forgotten.append(len(machine.calls))
    )
    assert machine.calls == [3, 1, 2, 1, 1]
    assert forgotten == [1, 3]
    assert len(released) == 2


def test_without_a_cpu_one_clip_too_many_is_an_error(released: list[torch.device]) -> None:
    with pytest.raises(EngineFailed, match="does not fit") as caught:
        devices.with_less_memory(Machine(0).run, [1], device=CUDA)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_other_errors_are_not_a_lack_of_memory() -> None:
    def fail(batch: Sequence[int]) -> list[int]:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        devices.with_less_memory(fail, [1, 2], device=CUDA)


def test_limits_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    real = devices.Path
    monkeypatch.setattr(
        devices, "Path", lambda name: tmp_path if name == "/sys/fs/cgroup" else real(name)
    )
    assert list(devices._container_bytes()) == [600]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(devices._container_bytes()) == []
