"""Groups as repositories' metadata list them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from layer.errors import InvalidInput
from layer.fetch.transfer import broken
from layer.groups import Catalogue, merged, parse_groups
from layer.model import RepositoryMetadata

_LARGEST = 16 << 20  # bytes, unpacked; Fedora's has 2 MB


def read_groups(metadata: Iterable[RepositoryMetadata]) -> Catalogue:
    """All groups of these repositories; RepositoryError names one whose list is damaged."""
    return merged(
        _read(each) for each in sorted(metadata, key=lambda one: one.repository.id) if each.groups
    )


def _read(metadata: RepositoryMetadata) -> Catalogue:
    # They load rpm, which a list of groups alone needs.
    from layer.fetch.markup import CODECS
    from layer.rpmfile.stream import decompressed

    path = metadata.groups
    assert path is not None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with decompressed(descriptor, CODECS[path.suffix]) as read:
            content = read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InvalidInput(f"holds more than {_LARGEST >> 20} MB")
        return parse_groups(content)
    except OSError as error:
        raise broken(metadata.repository, "its list of groups is damaged") from error
    except InvalidInput as error:
        raise broken(metadata.repository, f"its list of groups {error.message}") from error
    finally:
        os.close(descriptor)
