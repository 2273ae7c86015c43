"""No message is without a provocation, and no provocation without its message."""

import pkgutil
from collections import Counter
from importlib import import_module

import tests.messages
from tests.messages.sites import KINDS, find_sites, kinds_of_the_code

NOT_PROVOKED = {
    ("bench/feeds/fresh_process.py", "… gave no answer within … s"): "it is said after ten minutes",
    ("feed/device.py", "… GB of frames do not fit on …; take --feed hdf5-shuffle"): "only a GPU says that it is full",
}


def table():
    names = [module.name for module in pkgutil.iter_modules(tests.messages.__path__)]
    modules = [import_module(f"tests.messages.{name}") for name in names if name.startswith("test_messages_of")]
    return {(message.room, message.template) for module in modules for message in module.MESSAGES}


def test_every_message_of_the_code_is_provoked_and_no_other():
    sites = {(site.room, site.template) for site in find_sites()} - NOT_PROVOKED.keys()
    assert sites - table() == set(), "these have no provocation"
    assert table() - sites == set(), "these are in the table only"


def test_every_kind_of_error_is_looked_for():
    assert kinds_of_the_code() - KINDS == {"BadMarshal", "Refused"}  # of rooms that are not for users


def test_no_two_places_of_a_file_say_the_same():
    counted = Counter((site.room, site.template) for site in find_sites())
    assert [place for place, count in counted.items() if count > 1] == []
