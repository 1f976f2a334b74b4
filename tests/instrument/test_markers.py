"""Markers of requirements, as `packaging` reads them."""

import itertools

import pytest
from packaging.markers import Marker, default_environment

from heliograph.instrument._markers import MarkerError, applies
from heliograph.instrument._survey import environment
from heliograph.instrument._versions import instruments

MARKERS = [
    'python_version < "3.12"',
    'python_version >= "3.9"',
    "'3.9' <= python_version",
    'python_version ~= "3.8"',
    'python_version == "3.*"',
    'python_version != "3.11.*"',
    'python_full_version < "3.11.9"',
    'sys_platform == "linux"',
    'sys_platform != "win32" and python_version < "3.10" or os_name == "posix"',
    'sys_platform == "win32" or (python_version > "3.7" and platform_machine != "s390x")',
    "platform_machine in 'x86_64 aarch64 AMD64'",
    "platform_machine not in 'x86_64 aarch64 AMD64'",
    'implementation_name == "cpython"',
    'platform_python_implementation == "PyPy"',
    'extra == "redis"',
    'extra == "redis" and python_version < "3.11"',
    '(extra == "redis")',
]
VERSIONS = ["3.8.0", "3.10.13", "3.11.7", "3.12.1", "3.13.0"]


@pytest.mark.parametrize(
    ("marker", "version", "extra"), [*itertools.product(MARKERS, VERSIONS, ("", "redis"))]
)
def test_markers_hold_where_packaging_says_so(marker: str, version: str, extra: str) -> None:
    short = version.rpartition(".")[0]
    variables = environment() | {"python_full_version": version, "python_version": short}
    wanted = Marker(marker).evaluate({**variables, "extra": extra})
    assert applies(f"library>=1; {marker}", variables, extra) == wanted


def test_variables_are_those_of_packaging() -> None:
    assert environment() == {
        key: value for key, value in default_environment().items() if key in environment()
    }
    assert default_environment().keys() - environment().keys() <= {"extra"}


def test_without_a_marker_a_requirement_applies() -> None:
    assert applies("library>=1", {})


@pytest.mark.parametrize(
    "marker", ["python_version <", "nothing == '1'", "'a' == 'b", "(os_name == 'a'", "os_name # 1",
               "os_name == 'a' os_name == 'b'", "os_name not 'a'", "os_name and 'a'"],
)  # fmt: skip
def test_what_cannot_be_read_is_said(marker: str) -> None:
    with pytest.raises(MarkerError):
        applies(f"library; {marker}", environment())


def test_what_a_package_instruments_depends_on_the_interpreter() -> None:
    requires = [
        "wrapt<3",
        "plain>=1; extra == 'instruments'",
        'older<2; python_version < "3" and extra == "instruments"',
        "newer>=2; (python_version >= '3') and extra == 'instruments'",
        "one>=1; extra == 'instruments-any'",
        "other; extra == 'tests'",
    ]
    assert instruments(requires) == (["plain>=1", "newer>=2"], ["one>=1"])
