"""Modules that all pages share, each by itself: what is late, refused, twice or odd."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from workplace import Desk

JOB = {"id": "j1", "created_at": "2026-01-01T00:00:00Z", "done_s": 0, "total_s": 9}


@pytest.fixture
def page(desk: Desk) -> Page:
    """A page that listens to nothing by itself."""
    return desk.open("glossaries")


def asked(page: Page, module: str, work: str, given: Any = None) -> Any:
    """What ``work``, a function of a module of core and something given, answers."""
    return page.evaluate(
        f"""async (given) => {{
          const one = await import(document.documentElement.dataset.base + "/core/{module}.js");
          return ({work})(one, given); }}""",
        given,
    )


def test_a_message_is_in_front_of_a_dialog_and_outlives_it(page: Page) -> None:
    asked(
        page, "parts", """({dialog, toast}) => {
        dialog("Something", () => []);
        toast("Not so", {kind: "error"});
        toast("Not so", {kind: "error"});
        toast("Other", {kind: "error"}); }""",
    )  # fmt: skip
    told = page.get_by_role("alert")
    expect(told).to_have_count(2)
    told.filter(has_text="Not so").get_by_role("button", name="Close").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(told).to_have_text(["Other"])


def test_what_was_not_copied_is_not_called_copied(page: Page) -> None:
    asked(
        page, "parts", """({copy}) => {
        navigator.clipboard.writeText = () => Promise.reject(new Error());
        document.execCommand = () => false;
        return copy("text"); }""",
    )  # fmt: skip
    expect(page.get_by_role("alert")).to_contain_text("did not allow copying")
    expect(page.get_by_text("Copied.")).to_have_count(0)


def test_what_runs_is_not_begun_again_and_keeps_the_focus(page: Page) -> None:
    found = asked(
        page, "parts", """async ({button, guarded}) => {
        const made = button("Do it");
        document.querySelector("#lt-main").append(made);
        made.focus();
        let times = 0;
        const work = async () => {
          times += 1;
          await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
        };
        await Promise.all([guarded(made, work), guarded(made, work)]);
        return [times, document.activeElement === made]; }""",
    )  # fmt: skip
    assert found == [1, True]


def test_an_answer_that_is_older_than_an_event_is_not_believed(page: Page) -> None:
    """It was asked for, then the job was done, then the answer came: it still runs."""
    found = asked(
        page, "jobs", """async ({LiveJobs}, job) => {
        const states = ["running", "done"], answers = [];
        window.fetch = () => new Promise((answer) => {
          const body = JSON.stringify({...job, state: states.shift() ?? "done"});
          answers.push(() => answer(new Response(body)));
        });
        const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 5)); };
        const live = new LiveJobs(() => {});
        live.put({...job, state: "running"});
        live.want(job.id);
        await until(() => answers.length === 1);
        live._heard({kind: "job.done", job_id: job.id, data: {revision: 1, duration_s: 9}});
        answers[0]();
        await until(() => answers.length === 2);
        const then = live.jobs.get(job.id).state;
        answers[1]();
        // A list that was read before the event says less, too.
        live.put({...job, state: "running"});
        await until(() => answers.length === 3);
        answers[2]();
        await until(() => live.jobs.get(job.id).state === "done");
        return then; }""",
        JOB,
    )  # fmt: skip
    assert found == "done"


def test_many_empty_files_are_one_message(page: Page) -> None:
    found = asked(
        page, "upload", """({sorted}) => {
        const found = Array.from({length: 1000}, (_, n) => new File([], `${n}.mp3`));
        return sorted(found.map((file) => ({file, path: ""}))).told; }""",
    )  # fmt: skip
    assert found == ["1000 files are empty and were left out. Record or copy them again."]


def test_a_long_list_of_hotwords_goes_with_a_large_file(desk: Desk, page: Page) -> None:
    desk.expected += ["400"]
    told = {"error": {"code": "option.invalid", "message": "Enough."}}
    page.route("**/api/v1/uploads", lambda route: route.fulfill(status=400, json=told))
    found = asked(
        page, "upload", """({send}) => send(
        new File([new Uint8Array(9 << 20)], "long.wav"),
        {fields: {hotwords: "x".repeat(300000)}, key: "k"}).catch((error) => error.code)""",
    )  # fmt: skip
    assert found == "option.invalid"


def test_a_file_that_was_taken_away_is_said_in_chinese_too(
    desk_of: Callable[..., Desk],
) -> None:
    """The service has an error of a similar name, about uploads that are too old."""
    desk = desk_of(locale="zh-CN")
    desk.expected += ["net::ERR"]
    page = desk.open("glossaries")
    page.route("**/api/v1/recordings", lambda route: route.abort("failed"))
    found = asked(
        page, "upload", """({send}) => {
        const file = new File(["x"], "a.mp3");
        file.slice = () => ({arrayBuffer: () => Promise.reject(new Error())});
        return send(file, {key: "k"}).catch((error) => error.message); }""",
    )  # fmt: skip
    assert "移动或修改" in found


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"\nfirst\nsecond,x\n", ["first", "second"]),
        ("a.csv", b'a,"two\nlines"\n"b ""c""",d\n', ["a", 'b "c"']),
        ("a.csv", b"word\r\n'=1+1\r\n", ["=1+1"]),
        ("a.csv", b'"never closed\nnext\n', ["never closed", "next"]),
        ("a.txt", "聆听\n# no\n\\#yes".encode("utf-16"), ["聆听", "#yes"]),
        ("a.txt", b"", []),
    ],
)
def test_words_of_odd_files(name: str, content: bytes, words: list[str], page: Page) -> None:
    work = "({fromFile}, [name, bytes]) => fromFile(name, new Uint8Array(bytes).buffer)"
    assert asked(page, "hotwords", work, [name, list(content)]) == words


def test_a_table_of_words_runs_nothing_and_comes_back_whole(page: Page) -> None:
    words = ["=cmd", "+1", "-x", "@a", 'b"c', "d,e", "plain"]
    text = asked(page, "hotwords", "({toCsv}, words) => toCsv(words)", words)
    cells = [row[0] for row in csv.reader(text.removeprefix("\ufeff").splitlines())]
    assert [one for one in cells if one[0] in "=+-@"] == []
    work = "({fromFile}, text) => fromFile('a.csv', new TextEncoder().encode(text).buffer)"
    assert asked(page, "hotwords", work, text) == words


def test_what_the_microphone_says_last_breaks_nothing(page: Page) -> None:
    work = "({Recorder}) => new Recorder({onblock() {}})._take(new Float32Array(8)) ?? null"
    assert asked(page, "recorder", work) is None


def test_a_file_beside_its_place_does_not_replace_the_page(page: Page) -> None:
    assert page.evaluate(
        """() => { const data = new DataTransfer();
           data.items.add(new File(["x"], "a.mp3"));
           const drop = new DragEvent("drop",
             {dataTransfer: data, bubbles: true, cancelable: true});
           document.querySelector("h1").dispatchEvent(drop);
           return drop.defaultPrevented; }"""
    )


def test_an_answer_that_breaks_off_is_a_lost_connection(page: Page) -> None:
    work = """async ({body}) => {
        const cut = new ReadableStream({pull(one) { one.error(new TypeError()); }});
        const broken = new Response(cut);
        const odd = new Response("<html>");
        return Promise.all([broken, odd].map((one) => body(one, "json").catch((why) => why.code)));
    }"""
    assert asked(page, "api", work) == ["offline", "server.unclear"]


def test_a_stream_that_was_refused_is_asked_for_again(desk: Desk) -> None:
    desk.expected += ["503"]
    page = desk.page
    page.clock.install()
    refused: list[Route] = []

    def answer(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route)
            route.fulfill(status=503)

    page.route("**/api/v1/events*", answer)
    desk.open("batch")
    with page.expect_request("**/api/v1/events*"):
        while not refused:
            page.wait_for_timeout(50)
        page.wait_for_timeout(100)
        page.clock.run_for(5_100)


def test_a_lost_connection_is_said_however_often_it_is_tried(desk: Desk) -> None:
    page = desk.page
    page.clock.install()
    desk.open("glossaries")
    say = "is => document.dispatchEvent(new CustomEvent('lt-connection', {detail: is}))"
    for _ in range(4):
        page.evaluate(say, False)
        page.clock.run_for(2_000)
    assert page.get_by_text("The connection to the service is lost").count() == 1
    page.evaluate(say, True)
    page.get_by_text("The connection is back.").wait_for()


def test_who_is_signed_in_is_asked_until_it_is_known(desk: Desk) -> None:
    desk.expected += ["503"]
    refused: list[Route] = []

    def answer(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route)
            route.fulfill(status=503, json={"error": {"code": "busy.later", "message": "Busy."}})

    desk.page.route("**/api/v1/users/me", answer)
    page = desk.open("")
    expect(page.get_by_label("Language")).to_be_visible()


def test_signing_out_without_a_connection_is_said(desk: Desk, page: Page) -> None:
    desk.expected += ["ERR_INTERNET_DISCONNECTED"]
    page.route("**/logout", lambda route: route.abort("internetdisconnected"))
    page.get_by_role("button", name="Account of admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
