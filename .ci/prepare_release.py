"""Prepare a checkout for the packages of a release: check the tag, and write the address of the
repository.

python .ci/prepare_release.py https://HOST/OWNER/REPOSITORY vX.Y.Z

PyPI shows README.md, where relative links lead nowhere. This makes them absolute, with the files of
the tag, and adds the addresses that PyPI lists beside them. It changes README.md and pyproject.toml
in the current folder. The release workflow runs it in its own checkout; nothing of it is committed.
"""

import re
import sys
import tomllib
from pathlib import Path

PLACEHOLDER = "URL-OF-THIS-REPOSITORY"
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def check_tag(tag: str, version: str, changelog: str) -> None:
    """End the program with an explanation unless the tag is that of the version, and the changelog
    has its date.
    """
    if tag != f"v{version}":
        sys.exit(
            f"the tag is {tag}, but pyproject.toml declares version {version}; expected the tag "
            f"v{version}"
        )
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        sys.exit(
            f"CHANGELOG.md has no dated section of version {version}; expected: ## {version} "
            "(YYYY-MM-DD)"
        )


def absolute_links(readme: str, address: str, tag: str) -> str:
    """Return a page whose relative links lead to the files of the tag in the repository."""

    def absolute(link: re.Match[str]) -> str:
        target = link["target"]
        if target.startswith(("#", "http:", "https:", "mailto:")):
            return link[0]
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({address}/{kind}/{tag}/{target})"

    return _LINK.sub(absolute, readme.replace(PLACEHOLDER, address))


def urls(address: str, tag: str) -> str:
    """Return the table of addresses for pyproject.toml."""
    return f"""
[project.urls]
Source = "{address}"
Documentation = "{address}/blob/{tag}/docs/index.md"
Changelog = "{address}/blob/{tag}/CHANGELOG.md"
Issues = "{address}/issues"
"""


def main(address: str, tag: str) -> None:
    """Check the tag and change the two files."""
    readme, project = Path("README.md"), Path("pyproject.toml")
    declared = project.read_text(encoding="utf-8")
    version = tomllib.loads(declared)["project"]["version"]
    check_tag(tag, version, Path("CHANGELOG.md").read_text(encoding="utf-8"))
    readme.write_text(
        absolute_links(readme.read_text(encoding="utf-8"), address, tag), encoding="utf-8"
    )
    project.write_text(declared + urls(address, tag), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
