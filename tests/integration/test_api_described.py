"""The API as it describes itself: for programs, for people, and for a program that tries it all."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from server_parts import Running, running

from lingting.server.routes.docs import operations, value_of

_ORDERS = ("/models/{id}/load", "/models/{id}/unload", "/engines/clear")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("described") / "data"
    with running(folder, requests_per_minute=0, offline=True) as found:
        yield found


@pytest.fixture(scope="module")
def told(service: Running) -> Any:
    with service.client("read") as client:
        return client.get("/openapi.json").json()


class _Parts(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_from_elsewhere(service: Running, told: Any) -> None:
    with service.client("read") as client:
        answer = client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    parts = _Parts()
    parts.feed(answer.text)
    assert "script" not in parts.tags
    assert not parts.tags & {"link", "img", "iframe", "object"}
    assert all(re.match(r"#|/api/v1/", one) for one in parts.addresses)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for method, path, _ in operations(told):
        assert f"<b>{method}</b> <code>{path}</code>" in answer.text
    assert answer.text.count("<pre>curl ") == len(list(operations(told)))
    assert not re.findall(r"\$SERVER[^ &]*\{", answer.text), "a part of an address without example"


def test_examples_of_bodies_are_taken(service: Running, told: Any) -> None:
    """What the page shows as a body is one that the service understands."""
    tried = 0
    with service.client("admin") as client:
        for method, path, one in operations(told):
            kinds = one.get("requestBody", {}).get("content", {})
            if "application/json" not in kinds:
                continue
            body = value_of(told, kinds["application/json"]["schema"])
            address = re.sub(r"\{[a-z]+\}", "k7mqx2abcdef", path).removeprefix("/api/v1")
            answer = client.request(method, address, json=body)
            told_of = answer.json() or {}
            code = (told_of.get("error") or {}).get("code", "")
            assert code not in {"request.body_invalid", "option.unknown"}, (path, answer.text)
            assert answer.status_code < 500
            tried += 1
    assert tried >= 10


def test_every_operation_is_told_of_in_a_sentence(told: Any) -> None:
    assert [
        path for _, path, one in operations(told) if not str(one.get("description", "")).strip()
    ] == []


def test_no_request_that_fits_breaks_the_service(service: Running) -> None:
    """schemathesis: for every operation, what its description allows and what it does not."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    key = service.key("admin")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=30) as http:
        described = http.get("/api/v1/openapi.json").json()
        schema = schemathesis.openapi.from_dict(described)
        tried, broken = 0, []
        for result in schema.get_all_operations():
            operation = result.ok()
            # The one has no end, the other waits for a worker (test_openai_api).
            if operation.path.endswith(("/events", "/audio/transcriptions")):
                continue

            @given(case=operation.as_strategy())
            @settings(
                max_examples=10, deadline=None, derandomize=True, database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            def ask(case: Any) -> None:
                nonlocal tried
                tried += 1
                answer = case.call(base_url=service.url, headers=headers)
                is_state = answer.status_code == 503 and (  # what it is for; no host is there
                    case.path == "/readyz" or case.path.endswith(_ORDERS)
                )
                if answer.status_code >= 500 and not is_state:
                    broken.append((case.method, case.formatted_path, answer.status_code))

            ask()
    assert broken == []
    assert tried > 150


def test_the_page_is_for_who_has_a_key(service: Running) -> None:
    assert httpx.get(f"{service.url}/api/v1/docs").status_code == 401
