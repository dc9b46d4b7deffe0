"""Weight files of every kind: read as they are, refused when they are not what they say."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lingting.engines.neural.checkpoints import Tensors, joined, open_tensors
from lingting.engines.neural.safetensor_files import write_safetensors
from lingting.errors import WeightsInvalid

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def some_tensors() -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    made = {
        f"of_{str(dtype).removeprefix('torch.')}": torch.randint(0, 2, (3, 5), generator=chance).to(
            dtype
        )
        for dtype in DTYPES
    }
    made["scalar"] = torch.tensor(1.5)
    made["empty"] = torch.empty(0, 4)
    made["deep"] = torch.randn(2, 3, 4, 5, generator=chance)
    return made


def assert_holds(tensors: Tensors, expected: dict[str, torch.Tensor]) -> None:
    assert set(tensors.names()) == set(expected)
    for name, tensor in expected.items():
        found = tensors.read(name)
        assert found.dtype == tensor.dtype == tensors.dtype(name), name
        assert found.shape == tensor.shape == tensors.shape(name), name
        assert torch.equal(found, tensor), name
        assert found.is_contiguous()


def test_a_file_of_torch_save_is_read(tmp_path: Path) -> None:
    torch.save(some_tensors(), tmp_path / "model.pt")
    assert_holds(open_tensors(tmp_path / "model.pt"), some_tensors())


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(some_tensors(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_holds(open_tensors(tmp_path), some_tensors())


def test_what_we_write_the_library_reads_and_so_do_we(tmp_path: Path) -> None:
    torch.save(some_tensors(), tmp_path / "model.pt")
    source = open_tensors(tmp_path / "model.pt")
    size_bytes = write_safetensors(tmp_path / "out.safetensors", source, metadata={"a": "b"})
    assert size_bytes == (tmp_path / "out.safetensors").stat().st_size
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(some_tensors())
    assert all(torch.equal(found[name], tensor) for name, tensor in some_tensors().items())
    assert_holds(open_tensors(tmp_path / "out.safetensors"), some_tensors())


def test_writing_converts_floating_point_tensors_only(tmp_path: Path) -> None:
    torch.save(some_tensors(), tmp_path / "model.pt")
    write_safetensors(tmp_path / "out", open_tensors(tmp_path / "model.pt"), torch.bfloat16)
    found = open_tensors(tmp_path / "out")
    assert found.dtype("of_float64") == found.dtype("deep") == torch.bfloat16
    assert found.dtype("of_int64") == torch.int64
    assert torch.equal(found.read("deep"), some_tensors()["deep"].bfloat16())


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_what_trainers_put_around_the_tensors_is_taken_off(tmp_path: Path, wrapper: str) -> None:
    inner = OrderedDict((f"module.{name}", value) for name, value in some_tensors().items())
    outer = {wrapper: inner, "epoch": 3, "lr": [0.1], "dtype": torch.float32,
             "device": torch.device("cpu"), "shape": torch.Size([1, 2])}  # fmt: skip
    torch.save(outer, tmp_path / "model.pt")
    assert_holds(open_tensors(tmp_path), some_tensors())


def test_a_module_saved_with_its_buffers_is_read(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "model.pt")
    assert_holds(open_tensors(tmp_path), dict(module.state_dict()))


def test_views_and_shared_storages_are_read_as_themselves(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    views = {"whole": base, "turned": base.t(), "part": base[1:3, 2:5], "row": base[2],
             "parameter": torch.nn.Parameter(base)}  # fmt: skip
    torch.save(views, tmp_path / "model.pt")
    assert_holds(open_tensors(tmp_path), {name: v.detach() for name, v in views.items()})


def test_rows_are_read_without_the_rest(tmp_path: Path) -> None:
    base = torch.arange(40.0).view(10, 4)
    torch.save({"a": base, "turned": base.t()}, tmp_path / "model.pt")
    tensors = open_tensors(tmp_path)
    assert torch.equal(tensors.read_rows("a", 3, 6), base[3:6])
    assert torch.equal(tensors.read_rows("a", 8, 99), base[8:])
    assert torch.equal(tensors.read_rows("turned", 1, 3), base.t()[1:3])
    pieces = tensors.renamed({"b": ("a", "a")})
    assert torch.equal(pieces.read_rows("b", 9, 12), torch.cat([base, base])[9:12])


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    made = some_tensors()
    write_shards(tmp_path, made)
    assert_holds(open_tensors(tmp_path), made)


def test_tensors_are_chosen_renamed_and_joined_without_reading(tmp_path: Path) -> None:
    made = {"x.q": torch.ones(2, 3), "x.k": torch.zeros(1, 3), "y.b": torch.ones(2)}
    save_file(made, tmp_path / "model.safetensors")
    tensors = open_tensors(tmp_path)
    assert tensors.under("x.").names() == ("k", "q")
    assert tensors.without("x.").names() == ("y.b",)
    both = tensors.renamed({"qk": ("x.q", "x.k"), "bias": "y.b"})
    assert (both.shape("qk"), both.size_bytes("qk")) == ((3, 3), 36)
    assert torch.equal(both.read("qk"), torch.cat([made["x.q"], made["x.k"]]))
    assert len(joined([both, tensors.under("x.")])) == 4
    with pytest.raises(WeightsInvalid, match="bias occurs twice"):
        joined([both, both.without("qk")])
    with pytest.raises(WeightsInvalid, match=r"x\.v is missing"):
        tensors.renamed({"v": "x.v"})
    with pytest.raises(WeightsInvalid, match="parts of qb do not fit"):
        tensors.renamed({"qb": ("x.q", "y.b")})


def test_the_digest_decides_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(some_tensors(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(open_tensors(path, sha256=digest.upper())) == len(some_tensors())
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    with pytest.raises(WeightsInvalid, match=r"model\.safetensors .* SHA-256"):
        open_tensors(path, sha256=digest)


# Files that are not what they say.


class Program:
    """What a hostile pickle asks the reader to call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def programs(sentinel: Path) -> dict[str, object]:
    write = f"__import__('pathlib').Path({str(sentinel)!r}).touch()"
    return {
        "os.system": Program(os.system, f"touch {sentinel}"),
        "eval": Program(eval, write),
        "exec": Program(exec, write),
        "touch": Program(Path.touch, sentinel),
        "getattr": Program(getattr, Program(__import__, "os"), "system"),
        "torch.load": Program(torch.load, str(sentinel)),
        "a module": torch.nn.Linear(1, 1),
        "a class": Program,
    }


@pytest.mark.parametrize("kind", sorted(programs(Path("x"))))
def test_a_pickle_with_code_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    sentinel = tmp_path / "sentinel"
    hostile = {"weight": torch.ones(2), "x": programs(sentinel)[kind]}
    torch.save(hostile, tmp_path / "model.pt")
    with pytest.raises(WeightsInvalid, match=r"model\.pt .* nothing of it was run"):
        open_tensors(tmp_path)
    assert not sentinel.exists()


def test_the_hostile_pickle_does_run_elsewhere(tmp_path: Path) -> None:
    """Proof that the sentinel of the test above would have been written."""
    sentinel = tmp_path / "sentinel"
    torch.save({"x": programs(sentinel)["eval"]}, tmp_path / "model.pt")
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert sentinel.exists()


def test_a_pickle_cannot_change_the_reader(tmp_path: Path) -> None:
    """BUILD sets attributes on whatever is on the stack, also on what stands for a name."""
    state = b"}U\x04kindU\x06devices"
    for what in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n"):
        for build in (state + b"b", b"N" + state + b"\x86b"):
            with_pickle(tmp_path / "model.pt", b"\x80\x02" + what + build + b".")
            with pytest.raises(WeightsInvalid, match="list of tensors cannot be read"):
                open_tensors(tmp_path)
    torch.save({"a": torch.ones(2)}, tmp_path / "model.pt")
    assert open_tensors(tmp_path).names() == ("a",)


def with_pickle(path: Path, stream: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
        archive.writestr("archive/data/0", b"\0" * 64)


class _Stub:
    """Pickles as a reference to a storage of 16 floats under key 0."""


class _Writer(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", 16) if isinstance(obj, _Stub) else None


def with_tensor(path: Path, offset: object, shape: object, strides: object) -> None:
    """A file whose only tensor claims to lie there."""
    import io

    class Tensor:
        def __reduce__(self) -> Any:
            rebuild = torch._utils._rebuild_tensor_v2
            return rebuild, (_Stub(), offset, shape, strides, False, OrderedDict())

    stream = io.BytesIO()
    _Writer(stream, 2).dump({"weight": Tensor()})
    with_pickle(path, stream.getvalue())


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "what"),
    [
        (0, (17,), (1,), "outside its data"),
        (15, (2,), (1,), "outside its data"),
        (-1, (2,), (1,), "outside its data"),
        (0, (1 << 40,), (0,), "larger than its data"),
        (0, (4, 16), (1, 1), "outside its data"),
        (0, (8, 8), (1, 1), "larger than its data"),
        (0, (4, 4), (4,), "not described"),
        (0, (-4,), (1,), "not described"),
        (0, (1 << 60,), (1,), "not described"),
        (0, ("4",), (1,), "not described"),
        ("0", (4,), (1,), "not described"),
    ],
)
def test_a_tensor_that_cannot_lie_where_it_says_is_refused(
    tmp_path: Path, offset: object, shape: object, strides: object, what: str
) -> None:
    with_tensor(tmp_path / "model.pt", 4, (3, 4), (4, 1))
    assert torch.equal(open_tensors(tmp_path).read("weight"), torch.zeros(3, 4))
    with_tensor(tmp_path / "model.pt", offset, shape, strides)
    with pytest.raises(WeightsInvalid, match=rf"model\.pt .* weight .*{what}"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, share: float) -> None:
    for name, write in (
        ("model.pt", lambda path: torch.save({"a": torch.ones(100, 100)}, path)),
        ("model.safetensors", lambda path: save_file({"a": torch.ones(100, 100)}, path)),
    ):
        path = tmp_path / name
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(WeightsInvalid, match=name):
            open_tensors(path).read("a")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_file_with_wrong_bytes_is_read_or_refused_but_nothing_else(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    tensors = {"a": torch.ones(3, 4), "b": torch.ones(2).bfloat16()}
    if name == "model.pt":
        torch.save({"state_dict": tensors}, path)
    else:
        save_file(tensors, path)
    whole = path.read_bytes()
    chance = random.Random(7)  # noqa: S311
    outcomes = Counter[str]()
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            opened = open_tensors(path)
            for tensor in opened.names():
                opened.read(tensor)
            outcomes["read"] += 1
        except WeightsInvalid:
            outcomes["refused"] += 1
    assert outcomes["read"] > 20
    assert outcomes["refused"] > 20


def test_a_file_that_shrinks_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100)}, path)
    tensors = open_tensors(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsInvalid, match=r"model\.safetensors .* ends inside the tensor a"):
        tensors.read("a")
    path.unlink()
    with pytest.raises(WeightsInvalid, match="the tensor a cannot be read"):
        tensors.read("a")


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> None:
    torch.save({"a": torch.ones(4)}, path)
    original = path.with_suffix(".old")
    path.rename(original)
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(path, "w") as new:
        change(old, new)


def test_odd_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"

    def compressed(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info), zipfile.ZIP_DEFLATED)

    def without_data(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for info in old.infolist():
            if not info.filename.endswith("data/0"):
                new.writestr(info.filename, old.read(info))

    def big_endian(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        for info in old.infolist():
            data = b"big" if info.filename.endswith("byteorder") else old.read(info)
            new.writestr(info.filename, data)

    for change, what in (
        (compressed, "the tensor a is compressed"),
        (without_data, "the data of the tensor a is missing"),
        (big_endian, "another byte order"),
        (lambda old, new: new.writestr("readme.txt", "no model"), "no archive of torch.save"),
    ):
        rewritten(path, change)
        with pytest.raises(WeightsInvalid, match=what):
            open_tensors(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02}.", b"not a model", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"{}              ",
     struct.pack("<Q", 6) + b"[1, 2]", struct.pack("<Q", 2) + b"\xff\xff"],
)  # fmt: skip
def test_bytes_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(WeightsInvalid, match=r"model\.pt"):
        open_tensors(tmp_path).read("weight")


def with_header(path: Path, header: object, data: bytes = b"\0" * 32) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}, "outside the file"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [4, 0]}, "outside the file"),
        ({"dtype": "F32", "shape": [9], "data_offsets": [0, 32]}, "another size"),
        ({"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}, "element type"),
        ({"dtype": "F32", "shape": [-8], "data_offsets": [0, 32]}, "not described"),
        ({"dtype": "F32", "shape": [8.0], "data_offsets": [0, 32]}, "not described"),
        ({"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}, "not described"),
        ({"dtype": "F32", "shape": [8]}, "not described"),
        ({"dtype": "F32", "shape": [8], "data_offsets": [0]}, "not described"),
        ("F32", "not described"),
    ],
)
def test_a_safetensors_header_is_not_believed(tmp_path: Path, entry: object, what: str) -> None:
    with_header(tmp_path / "model.safetensors", {"weight": entry})
    with pytest.raises(WeightsInvalid, match=rf"model\.safetensors .* weight .*{what}"):
        open_tensors(tmp_path)


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    one = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    with_header(tmp_path / "model.safetensors", {"a": one, "b": one | {"data_offsets": [8, 24]}})
    with pytest.raises(WeightsInvalid, match="b overlaps another"):
        open_tensors(tmp_path)


def write_shards(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    names = sorted(tensors)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, own in halves.items():
        save_file({name: tensors[name] for name in own}, folder / file)
    index = folder / "model.safetensors.index.json"
    weights = {name: file for file, own in halves.items() for name in own}
    index.write_text(json.dumps({"weight_map": weights}), "utf-8")
    return index


@pytest.mark.parametrize(
    "elsewhere",
    ["../secret.safetensors", "/etc/secret.safetensors", "sub/x.safetensors", "..",
     "model.pt", "C:\\x.safetensors", ".hidden.safetensors", "x.safetensors\n"],
)  # fmt: skip
def test_an_index_never_leads_out_of_its_folder(tmp_path: Path, elsewhere: str) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "secret.safetensors", folder / "sub" / "x.safetensors"):
        save_file({"deep": torch.ones(1)}, place)
    index = write_shards(folder, some_tensors())
    document = json.loads(index.read_text("utf-8"))
    document["weight_map"]["deep"] = elsewhere
    index.write_text(json.dumps(document), "utf-8")
    with pytest.raises(WeightsInvalid, match=r"index\.json .* deep .*outside the model folder"):
        open_tensors(folder)


def test_an_index_and_its_shards_must_agree(tmp_path: Path) -> None:
    index = write_shards(tmp_path, some_tensors())
    good = json.loads(index.read_text("utf-8"))["weight_map"]

    def open_with(weights: object) -> None:
        index.write_text(json.dumps({"weight_map": weights}), "utf-8")
        open_tensors(tmp_path)

    with pytest.raises(WeightsInvalid, match="more is not in model-1"):
        open_with(good | {"more": "model-1.safetensors"})
    with pytest.raises(WeightsInvalid, match=r"deep of model-\d\.safetensors is not in the index"):
        open_with({name: file for name, file in good.items() if name != "deep"})
    with pytest.raises(WeightsInvalid, match="no index of shards"):
        open_with(["deep"])
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(WeightsInvalid, match=r"model-2\.safetensors, which holds .* is missing"):
        open_with(good)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"holds none of model\.safetensors"):
        open_tensors(tmp_path)
    with pytest.raises(WeightsInvalid, match=r"model\.pt is missing"):
        open_tensors(tmp_path / "model.pt")
