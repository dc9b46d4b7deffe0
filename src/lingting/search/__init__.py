"""The language of the search: what a text's terms are, what a query wants, and where it matches.

It knows no database; ``lingting.store.search`` keeps the index and asks it. Everything works
without pypinyin and rjieba (the extra ``search``) except the search by sound and the loosening of
long Chinese.
"""

from lingting.search.folding import Units, units_of
from lingting.search.query import Match, Place, Query, loosened, parse_query
from lingting.search.sounds import has_sounds, pack, require_sounds, sounds_of, unpack
from lingting.search.terms import language_term, speaker_term, terms_of

__all__ = [
    "Match",
    "Place",
    "Query",
    "Units",
    "has_sounds",
    "language_term",
    "loosened",
    "pack",
    "parse_query",
    "require_sounds",
    "sounds_of",
    "speaker_term",
    "terms_of",
    "units_of",
    "unpack",
]
