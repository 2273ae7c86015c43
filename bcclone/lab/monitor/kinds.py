"""The kinds of monitors by their names, each of which is a module."""

from typing import cast

from bcclone.lab.monitor import attention, autoencoder, dropout, ensemble, features
from bcclone.lab.monitor.scorer import Kind

BY_NAME = {
    "ensemble": cast(Kind, ensemble),
    "dropout": cast(Kind, dropout),
    "autoencoder": cast(Kind, autoencoder),
    "attention": cast(Kind, attention),
    "features": cast(Kind, features),
}
