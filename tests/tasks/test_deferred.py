"""Members of tasks that are imported when they are used."""

from __future__ import annotations

from elman.tasks.language_modelling import LanguageModelling
from elman.tasks.language_modelling.sizing import choose


class Another(LanguageModelling):
    """A task in another module, with the members of its base."""


def test_a_place_is_beside_the_class_that_has_the_member() -> None:
    assert Another.__module__ != LanguageModelling.__module__
    assert Another().choose is LanguageModelling().choose is choose
