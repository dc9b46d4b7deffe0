"""``lingting history``: list by filters and orders, values, rename and share."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from store_parts import plain_transcript
from test_cli_history import Home

from lingting.jobs import Desk
from lingting.server.accounts import Accounts
from lingting.store import Shares, audit, open_store


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


@pytest.fixture
def ids(home: Home) -> list[str]:
    """b.wav in Chinese with a speaker, a.wav longer and in English, c.wav that waits."""
    with open_store(home.folder) as store:
        plain = plain_transcript(2)
        said = replace(plain, segments=tuple(replace(one, speaker="甲") for one in plain.segments))
        first = store.keep(io.BytesIO(b"1"), said, name="b.wav", owner="wang").recording.id
        longer = replace(plain_transcript(9), language="en")
        second = store.keep(io.BytesIO(b"2"), longer, name="a.wav").recording.id
        third = Desk(store).submit(io.BytesIO(b"3"), name="c.wav").recording_id
        store.tag(first, add=["课程"])
        Accounts(store).add_user("li")
        return [first, second, third]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), (2, 1, 0)),
        (("--order", "oldest"), (0, 1, 2)),
        (("--order", "name"), (1, 0, 2)),
        (("--order", "longest"), (1, 0, 2)),
        (("--order", "name", "--limit", "2"), (1, 0)),
        (("--language", "en"), (1,)),
        (("--speaker", "甲"), (0,)),
        (("--tag", "课程"), (0,)),
        (("--owner", "wang"), (0,)),
        (("--department", "law"), ()),
        (("--state", "queued"), (2,)),
        (("--state", "queued", "--state", "none"), (2, 1, 0)),
        (("--min-length", "3"), (1,)),
        (("--max-length", "3"), (0,)),
        (("--since", "2026-01-01"), (2, 1, 0)),
        (("--until", "2026-01-01"), ()),
        (("--deleted",), ()),
    ],
)
def test_a_list_is_narrowed(
    home: Home, ids: list[str], options: tuple[str, ...], wanted: tuple[int, ...]
) -> None:
    rows = home.rows("history", "list", *options)
    assert [row["id"] for row in rows] == [ids[one] for one in wanted]


def test_a_list_for_people(home: Home, ids: list[str]) -> None:
    lines = home.run("history", "list").stdout.splitlines()
    assert lines[0].split("\t")[3] == "state"
    assert [line.split("\t")[3] for line in lines[1:]] == ["queued", "", ""]
    wrong = home.run("history", "list", "--since", "soon")
    assert (wrong.returncode, "[option.invalid]" in wrong.stderr) == (2, True)
    assert home.run("history", "list", "--state", "lost").returncode == 2
    row = home.rows("history", "list")[0]
    assert (row["job"]["state"], isinstance(row["job"]["created_at"], str)) == ("queued", True)
    assert row["id"] == ids[2]


@pytest.mark.usefixtures("ids")
def test_values(home: Home) -> None:
    rows = {(one["kind"], one["value"]): one["count"] for one in home.rows("history", "values")}
    assert rows == {
        ("language", "zh"): 1, ("language", "en"): 1, ("tag", "课程"): 1, ("speaker", "甲"): 1,
        ("owner", "wang"): 1,
    }  # fmt: skip
    assert "--speaker\t甲\t1" in home.run("history", "values").stdout


def test_another_name(home: Home, ids: list[str]) -> None:
    done = home.run("history", "rename", ids[0][:6], "周会")
    assert (done.returncode, f"{ids[0]} is called 周会" in done.stderr) == (0, True)
    assert home.rows("history", "list", "--tag", "课程")[0]["name"] == "周会"
    assert home.run("history", "rename", ids[0], " ").returncode == 2


def test_sharing(home: Home, ids: list[str]) -> None:
    (made,) = home.rows("history", "share", ids[0][:6], "--user", "li", "--days", "3")
    assert (made["recording_id"], made["to_kind"], made["to_name"]) == (ids[0], "user", "li")
    done = home.run("history", "share", ids[0], "--everyone")
    assert (done.returncode, "for everyone, is there" in done.stderr) == (0, True)
    rows = home.rows("history", "share", ids[0])
    assert [row["to_kind"] for row in rows] == ["everyone", "user"]
    lines = home.run("history", "share", ids[0]).stdout.splitlines()
    assert [line.split("\t")[1] for line in lines] == ["for", "everyone", "user li"]
    assert home.rows("history", "share", ids[0], "--end", made["id"]) == [made]
    with open_store(home.folder) as store:
        assert [one.to_kind for one in Shares(store.database).listed(ids[0])] == ["everyone"]
        with store.database.read() as session:
            noted = audit.entries(session, limit=5, object_id=ids[0])
    assert [one.action for one in noted[:2]] == ["share.ended", "share.made"]
    for wrong in (
        ("--user", "nobody"), ("--user", "li", "--everyone"), ("--days", "3"),
        ("--department", "lab"), ("--end", "x"), ("--end", made["id"], "--everyone"),
        ("--everyone", "--days", "0"),
    ):  # fmt: skip
        assert home.run("history", "share", ids[0], *wrong).returncode == 2, wrong
