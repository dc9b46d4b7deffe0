"""Glossaries: names and terms to expect, under a name that a request can give.

One is a person's own, or it has no owner and is for a department, or for all. Who asks for a name
gets their own before the department's, and that before the one for all. A glossary keeps its latest
words only: a job takes them over when it is submitted, so later changes do not reach it.

As text a glossary has one word or term a line; empty lines and those that begin with ``#`` are left
out, and a backslash at the beginning makes the rest plain: ``\\#hashtag``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from lingting.errors import GlossaryNotFound, OptionInvalid, RevisionConflict
from lingting.store import audit, changes
from lingting.store.database import Database, lock
from lingting.store.records import MAX_WORD_CHARS, MAX_WORDS, Actor, Glossary
from lingting.store.rows import storable
from lingting.store.schema import GlossaryRow

MAX_TEXT_BYTES = 1 << 20
_MAX_NAME_CHARS = 100
_MAX_OF_ONE_OWNER = 200
_MARKS = ("#", "\\")


class Glossaries:
    """The glossaries of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, *, owner: str | None = None, department: str | None = None) -> list[Glossary]:
        """What ``owner`` sees, own and for all, by name; without their words.

        Without an owner, those for all.
        """
        with self._database.read() as session:
            rows = session.execute(
                select(GlossaryRow, func.json_array_length(GlossaryRow.words))
                .where(_seen(owner, department))
                .order_by(GlossaryRow.name, GlossaryRow.owner.is_(None), GlossaryRow.id)
            )
            return [_glossary(row, count) for row, count in rows]

    def get(
        self, name_or_id: str, *, owner: str | None = None, department: str | None = None
    ) -> Glossary:
        """Of those that ``listed`` shows; one's own goes before one for all of the same name.

        Raises GlossaryNotFound.
        """
        with self._database.read() as session:
            return find(session, name_or_id, owner=owner, department=department)

    def save(
        self,
        name: str,
        words: Iterable[str],
        *,
        based_on: int,
        owner: str | None = None,
        department: str | None = None,
        actor: Actor | None = None,
    ) -> Glossary:
        """Make the glossary of this name and owner, or replace its words.

        Without an owner it is for the department, or for all. ``based_on`` is the revision that was
        read, 0 where there was none. Raises RevisionConflict when somebody was quicker,
        OptionInvalid for words or a name that cannot be. Here and below, ``actor`` is who does it,
        for the audit trail; None: whoever runs this program.
        """
        name, words = parse_name(name), parse_words(words)
        if owner is not None and department is not None:
            raise OptionInvalid("A person's own glossary has no department.", "Drop one of them.")
        with self._database.write() as session:
            lock(session, f"glossaries:{owner or ''}")
            department = None if department is None else storable(department)
            row = _own_row(session, name, owner, department)
            _check_current(row, based_on)
            now = changes.now()
            if row is None:
                _check_room(session, owner)
                row = GlossaryRow(
                    id=changes.new_id(), name=name, owner=owner, department=department,
                    revision=0, created_at=now,
                )  # fmt: skip
                session.add(row)
            row.words = list(words)
            row.revision += 1
            row.changed_at = now
            session.flush()
            audit.note(
                session, actor, "glossary.saved", "glossary", row.id,
                revision=row.revision, words=len(words),
            )  # fmt: skip
            return _glossary(row, len(words), words)

    def everybodys(self) -> list[Glossary]:
        """All there are, by name, without their words."""
        with self._database.read() as session:
            rows = session.execute(
                select(GlossaryRow, func.json_array_length(GlossaryRow.words))
                .order_by(GlossaryRow.name, GlossaryRow.id)
            )  # fmt: skip
            return [_glossary(row, count) for row, count in rows]

    def of_id(self, id: str) -> Glossary:
        """Whosever it is. Raises GlossaryNotFound."""
        with self._database.read() as session:
            row = session.get(GlossaryRow, _plain(id))
            if row is None:
                raise _not_found()
            return _glossary(row, len(row.words), tuple(row.words))

    def delete(
        self,
        name_or_id: str,
        *,
        owner: str | None = None,
        department: str | None = None,
        actor: Actor | None = None,
    ) -> Glossary:
        """Remove a glossary of exactly this owner; None: one of the department, or for all.

        Jobs that use it keep its words. It is returned once more. Raises GlossaryNotFound.
        """
        with self._database.write() as session:
            lock(session, f"glossaries:{owner or ''}")
            plain = _plain(name_or_id)
            row = _own_row(session, plain, owner, department) or session.get(GlossaryRow, plain)
            if row is None or (row.owner, row.department) != (owner, department):
                raise _not_found()
            found = _glossary(row, len(row.words), tuple(row.words))
            session.delete(row)
            audit.note(session, actor, "glossary.deleted", "glossary", found.id)
            return found


def find(
    session: Session, name_or_id: str, *, owner: str | None, department: str | None
) -> Glossary:
    """See ``Glossaries.get``."""
    plain = _plain(name_or_id)
    row = session.scalars(
        select(GlossaryRow)
        .where(_seen(owner, department), or_(GlossaryRow.name == plain, GlossaryRow.id == plain))
        .order_by(
            GlossaryRow.name != plain, GlossaryRow.owner.is_(None), GlossaryRow.department.is_(None)
        )
        .limit(1)
    ).first()
    if row is None:
        raise _not_found()
    return _glossary(row, len(row.words), tuple(row.words))


def parse_name(given: str) -> str:
    """The name as it is kept. Raises OptionInvalid."""
    name = _plain(given)
    if not 0 < len(name) <= _MAX_NAME_CHARS or not name.isprintable():
        raise OptionInvalid(
            f"A glossary's name has 1 to {_MAX_NAME_CHARS} characters, in one line."
        )
    if "/" in name or name.startswith("."):
        raise OptionInvalid("A glossary's name begins with no dot and holds no slash.")
    return name


def parse_words(given: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order, without needless space. Raises OptionInvalid."""
    plain = (" ".join(storable(word).replace("\ufeff", "").split()) for word in given)
    words = tuple(dict.fromkeys(word for word in plain if word))
    if not words:
        raise OptionInvalid("The glossary holds no words.", "Give at least one, or delete it.")
    if len(words) > MAX_WORDS:
        raise OptionInvalid(f"The glossary holds {len(words)} words; allowed are {MAX_WORDS}.")
    if any(len(word) > MAX_WORD_CHARS for word in words):
        raise OptionInvalid(f"A word of the glossary is longer than {MAX_WORD_CHARS} characters.")
    return words


def from_text(content: bytes) -> tuple[str, ...]:
    """The words of a file, see the module. Raises OptionInvalid."""
    if len(content) > MAX_TEXT_BYTES:
        raise OptionInvalid("The file of a glossary is larger than 1 MiB.", "Shorten it.")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise OptionInvalid(
            "The file of a glossary is not UTF-8.", "Save it as UTF-8, one term a line."
        ) from exc
    plain = (line.strip() for line in lines)
    return parse_words(line.removeprefix("\\") for line in plain if not line.startswith("#"))


def to_text(words: Iterable[str]) -> str:
    """What ``from_text`` reads as the same words."""
    return "".join(f"\\{word}\n" if word.startswith(_MARKS) else f"{word}\n" for word in words)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", storable(name)).strip()


def _seen(owner: str | None, department: str | None) -> ColumnElement[bool]:
    of_department: ColumnElement[bool] = GlossaryRow.department.is_(None)
    if department is not None:
        of_department = or_(of_department, GlossaryRow.department == department)
    for_all = and_(GlossaryRow.owner.is_(None), of_department)
    return for_all if owner is None else or_(GlossaryRow.owner == owner, for_all)


def _own_row(
    session: Session, name: str, owner: str | None, department: str | None
) -> GlossaryRow | None:
    return session.scalars(
        select(GlossaryRow).where(
            GlossaryRow.name == name,
            GlossaryRow.owner.is_not_distinct_from(owner),
            GlossaryRow.department.is_not_distinct_from(department),
        )
    ).one_or_none()


def _check_current(row: GlossaryRow | None, based_on: int) -> None:
    current = 0 if row is None else row.revision
    if current != based_on:
        raise RevisionConflict(
            f"The change was made on revision {based_on}; "
            + (f"revision {current} is current." if row else "there is no such glossary."),
            "Read the glossary again and make the change there.",
        )


def _check_room(session: Session, owner: str | None) -> None:
    """A list stays a page."""
    others = select(func.count()).where(GlossaryRow.owner.is_not_distinct_from(owner))
    if (session.scalar(others) or 0) >= _MAX_OF_ONE_OWNER:
        raise OptionInvalid(
            f"There are {_MAX_OF_ONE_OWNER} glossaries already, which is the most.", "Delete some."
        )


def _glossary(row: GlossaryRow, count: int, words: tuple[str, ...] | None = None) -> Glossary:
    return Glossary(
        id=row.id, name=row.name, owner=row.owner, department=row.department, count=count,
        words=words, revision=row.revision, created_at=row.created_at, changed_at=row.changed_at,
    )  # fmt: skip


def _not_found() -> GlossaryNotFound:
    return GlossaryNotFound("There is no glossary with this name or id.")
