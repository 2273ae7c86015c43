"""What pyproject.toml cannot declare: the models of the folder models/ are a part of the package
bcclone.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["bcclone*"]), "bcclone.models"],
    package_dir={"bcclone.models": "models"},
)
